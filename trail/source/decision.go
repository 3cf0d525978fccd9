// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/decision"
)

// Decision is the source name of podtrail's scheduler; a Record's Data is then one decision.Record, whose package
// describes the form.
const Decision = trail.SourceDecision

// ParseDecision turns one record of the scheduler into the observation of stage Schedule that it is evidence of. An
// error means that the record is none.
func ParseDecision(record Record) ([]trail.Observation, error) {
	d, err := DecodeDecision(record)
	if err != nil {
		return nil, err
	}
	o := trail.Observation{
		Subject:  trail.Subject{Kind: "Pod", Namespace: d.Pod.Namespace, Name: d.Pod.Name, UID: d.Pod.UID},
		Stage:    trail.Schedule,
		Time:     d.Time,
		Evidence: trail.Evidence{Source: trail.SourceDecision, Node: record.Node, ID: d.Pod.UID},
	}
	switch {
	case d.Attempt != nil:
		observeAttempt(&o, d)
	case d.Binding != nil:
		observeBinding(&o, d)
	case d.Move != nil:
		o.Evidence.ID += "/move"
		o.Summary = decision.DescribeMove(d.Move)
	default:
		o.Evidence.ID += "/victim/" + d.Victim.Pod.UID
		o.Summary = decision.DescribeVictim(d.Victim)
	}
	return []trail.Observation{o}, nil
}

// DecodeDecision returns the decision in a record. An error means that it is none, or does not fit together.
func DecodeDecision(record Record) (decision.Record, error) {
	d, err := decision.Decode(record.Data)
	if err != nil {
		return d, fmt.Errorf("decode decision record of %q: %w", record.Node, err)
	}
	return d, nil
}

func observeAttempt(o *trail.Observation, d decision.Record) {
	a := d.Attempt
	o.Evidence.ID += "/attempt/" + strconv.Itoa(a.Number)
	o.Duration = a.Took
	o.Summary = d.Scheduler + ": " + decision.Summary(a)
	o.Facts = []trail.Fact{{Key: trail.FactAttempt, Value: strconv.Itoa(a.Number)}}
	if a.Node != "" {
		o.Facts = append(o.Facts, trail.Fact{Key: trail.FactNode, Value: a.Node}, trail.Fact{Key: trail.FactWhy, Value: decision.Why(a)})
	}
	if a.Hold != nil && !a.Hold.Until.IsZero() {
		o.Facts = append(o.Facts, trail.Fact{Key: "held in Permit until", Value: a.Hold.Until.UTC().Format(time.RFC3339)})
	}
	switch a.Outcome {
	case decision.Unschedulable:
		o.Failure = &trail.Failure{Reason: "Unschedulable", Message: a.Message}
	case decision.Failed:
		o.Failure = &trail.Failure{Reason: "SchedulerError", Message: a.Message}
	}
}

func observeBinding(o *trail.Observation, d decision.Record) {
	b := d.Binding
	o.Evidence.ID += "/binding/" + strconv.Itoa(b.Attempt)
	o.Duration = b.Took
	parts := make([]string, 0, len(b.Steps))
	for _, step := range b.Steps {
		parts = append(parts, fmt.Sprintf("%s %s", step.Name, step.Took.Round(time.Microsecond)))
	}
	o.Summary = fmt.Sprintf("bound to %s: %s", b.Node, strings.Join(parts, ", "))
	o.Facts = []trail.Fact{{Key: trail.FactNode, Value: b.Node}}
	if b.Outcome != decision.Bound {
		o.Summary = fmt.Sprintf("could not be bound to %s: %s", b.Node, b.Message)
		o.Failure = &trail.Failure{Reason: "BindingFailed", Message: b.Message}
	}
}
