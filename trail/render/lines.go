// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"podtrail.dev/podtrail/trail"
)

// said is one line about a stage.
type said struct {
	text, color, evidence string
}

// told chooses what is said about a stage: under -v each observation with all its facts, else one line for each thing
// that happened.
func (w *treeWriter) told(e trail.Entry, o *trail.Object) []said {
	out := w.happened(e, o)
	// What failed later than in a request may have been tried again: then the object's state says whether it still fails.
	if failure := e.Failure(); failure != nil && e.Stage <= trail.Persist {
		out = append(out, said{text: "✗ " + failureWords(*failure), color: red})
	}
	if s := o.State; s != nil && s.Failure != nil && s.FailedAt == e.Stage {
		out = append(out, said{text: "✗ " + failureWords(*s.Failure), color: red})
	}
	return out
}

// happened is what is said about a stage beside its failure.
func (w *treeWriter) happened(e trail.Entry, o *trail.Object) []said {
	var out []said
	switch {
	case w.options.Verbose:
		for _, obs := range e.Observations {
			out = append(out, verbosely(obs)...)
		}
	case e.Stage == trail.Reconcile:
		return reconcileLines(e, o)
	case e.Stage == trail.Schedule:
		return scheduleLines(e, o)
	case e.Stage == trail.Run:
		return runLines(e, o)
	default:
		for _, obs := range preferred(e.Observations) {
			out = append(out, said{text: obs.Summary + inferredMark(obs)})
		}
	}
	return out
}

// failureWords gives the cause in the words of who refused, less what the stage already says.
func failureWords(failure trail.Failure) string {
	message := failure.Message
	if strings.HasPrefix(message, "admission webhook ") {
		if _, cause, ok := strings.Cut(message, "denied the request: "); ok {
			message = cause
		}
	}
	return failure.Reason + ": " + message
}

func inferredMark(obs trail.Observation) string {
	if obs.Inferred {
		return " [inferred: joined by name]"
	}
	return ""
}

// verbosely says all that an observation holds.
func verbosely(obs trail.Observation) []said {
	out := []said{{text: obs.Summary + inferredMark(obs), evidence: evidenceWords(obs.Evidence)}}
	for _, fact := range obs.Facts {
		if !strings.Contains(obs.Summary, fact.Value) && fact.Key != trail.FactStoredValue {
			out = append(out, said{text: "  " + fact.Key + ": " + fact.Value, color: dim})
		}
	}
	return out
}

func evidenceWords(e trail.Evidence) string {
	id := e.ID
	if e.Source == trail.SourceAudit && len(id) > 8 {
		id = id[:8]
	}
	if e.Source != trail.SourceAudit {
		id = id[strings.LastIndexAny(id, "@.")+1:]
	}
	words := []rune(strings.TrimSpace(e.Source + " " + id + " " + e.Node))
	if len(words) > evidenceWidth-1 {
		words = append(words[:evidenceWidth-2], '…')
	}
	return string(words)
}

// preferred leaves out what the API objects tell where the audit log tells it too.
func preferred(observations []trail.Observation) []trail.Observation {
	var audited []trail.Observation
	for _, obs := range observations {
		if obs.Evidence.Source == trail.SourceAudit {
			audited = append(audited, obs)
		}
	}
	if len(audited) > 0 {
		return audited
	}
	return observations
}

// reconcileLines says who made what, with the objects of one maker in one line.
func reconcileLines(e trail.Entry, o *trail.Object) []said {
	made := map[string][]string{}
	var makers []string
	var events []trail.Observation
	for _, obs := range e.Observations {
		child, ok := obs.Fact(trail.FactChild)
		maker, _, _ := strings.Cut(obs.Summary, " made ")
		switch {
		case ok:
			if made[maker] == nil {
				makers = append(makers, maker)
			}
			made[maker] = append(made[maker], child)
		case obs.Evidence.Source == trail.SourceEvent:
			events = append(events, obs)
		}
	}
	slices.Sort(makers)
	var out []said
	for _, maker := range makers {
		out = append(out, said{text: maker + " made " + many(made[maker]) + wants(o)})
	}
	if len(out) == 0 {
		out = eventLines(events)
	}
	if len(out) == 0 {
		last := e.Observations[len(e.Observations)-1]
		out = []said{{text: last.Summary + inferredMark(last)}}
	}
	return out
}

// eventLines says of each reason the latest event, and how many there were.
func eventLines(events []trail.Observation) []said {
	slices.SortStableFunc(events, func(a, b trail.Observation) int { return a.Time.Compare(b.Time) })
	count := map[string]int{}
	for _, obs := range events {
		reason, _ := obs.Fact(trail.FactEventReason)
		count[reason]++
	}
	var out []said
	for i, obs := range events {
		reason, _ := obs.Fact(trail.FactEventReason)
		later := slices.ContainsFunc(events[i+1:], func(o trail.Observation) bool {
			r, _ := o.Fact(trail.FactEventReason)
			return r == reason
		})
		if later {
			continue
		}
		text := obs.Summary
		if count[reason] > 1 {
			text += fmt.Sprintf(" (the last of %d)", count[reason])
		}
		out = append(out, said{text: text})
	}
	return out
}

// many lists objects of one kind, by name; of more than three the first two.
func many(children []string) string {
	if len(children) == 1 {
		return children[0]
	}
	kind, _, _ := strings.Cut(children[0], " ")
	names := make([]string, 0, len(children))
	for _, child := range children {
		_, name, _ := strings.Cut(child, " ")
		names = append(names, name)
	}
	more := ""
	if len(names) > 3 {
		more = fmt.Sprintf(" and %d more", len(names)-2)
		names = names[:2]
	}
	return fmt.Sprintf("%d %ss: %s%s", len(children), kind, strings.Join(names, ", "), more)
}

func wants(o *trail.Object) string {
	if o.State == nil || o.State.Desired == nil {
		return ""
	}
	return fmt.Sprintf(" (spec.replicas is %d)", *o.State.Desired)
}

// scheduleLines says where the Pod was bound to, else the last verdict.
func scheduleLines(e trail.Entry, o *trail.Object) []said {
	var out []said
	for _, obs := range preferred(e.Observations) {
		if _, bound := obs.Fact("Binding"); bound {
			text := obs.Summary + inferredMark(obs)
			if o.Created.Seen() {
				text += "\nBinding POSTed " + sinceStored(o, obs.Time)
			}
			return []said{{text: text}}
		}
		if obs.Failure == nil {
			out = []said{{text: obs.Summary + inferredMark(obs)}}
		}
	}
	if o.State != nil && o.State.Failure != nil && o.State.FailedAt == trail.Schedule {
		return nil
	}
	return out
}

// sinceStored says when something came, counted from the answer to the Pod's creation, after which it was stored for
// certain. A quick scheduler sees the Pod in its watch before that answer is written.
func sinceStored(o *trail.Object, at time.Time) string {
	after := at.Sub(o.Created.Received.Add(o.Created.Took))
	if after < 0 {
		return Duration(-after) + " before the answer to the Pod's creation was written"
	}
	return Duration(after) + " after the Pod was stored"
}
