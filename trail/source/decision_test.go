// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/source"
)

func TestParseDecision(t *testing.T) {
	begin := time.Date(2026, 5, 4, 10, 2, 11, 0, time.UTC)
	pod := decision.Pod{Namespace: "demo", Name: "web", UID: "web-uid"}
	matrix := decision.Matrix{
		Nodes: []string{"a", "b"}, Filters: []decision.Filter{{Plugin: "Fit"}}, Reasons: []decision.Reason{{Text: "Insufficient cpu"}},
		Rows: []decision.Row{
			{Nodes: []int{0}, Looked: true, Verdicts: decision.Verdicts{decision.Pass(true)}},
			{Nodes: []int{1}, Looked: true, Verdicts: decision.Verdicts{decision.Refuse(0, true)}},
		},
	}
	observation := func(id, summary string) trail.Observation {
		return trail.Observation{
			Subject: trail.Subject{Kind: "Pod", Namespace: "demo", Name: "web", UID: "web-uid"}, Stage: trail.Schedule, Time: begin,
			Evidence: trail.Evidence{Source: "decision", Node: "cp", ID: "web-uid" + id}, Summary: summary,
		}
	}
	with := func(o trail.Observation, change func(*trail.Observation)) trail.Observation {
		change(&o)
		return o
	}
	tests := map[string]struct {
		record decision.Record
		want   trail.Observation
	}{
		"placed": {
			record: decision.Record{Attempt: &decision.Attempt{Number: 2, Took: time.Millisecond, Outcome: decision.Placed, Node: "a", Matrix: matrix}},
			want: with(observation("/attempt/2", "podtrail-scheduler: 2 nodes → 1 feasible → a"), func(o *trail.Observation) {
				o.Duration = time.Millisecond
				o.Facts = []trail.Fact{{Key: "attempt", Value: "2"}, {Key: "node", Value: "a"},
					{Key: "why", Value: "only this node was left, so the scores decided nothing; b: Insufficient cpu"}}
			}),
		},
		"held": {
			record: decision.Record{Attempt: &decision.Attempt{Number: 1, Outcome: decision.Placed, Node: "a", BatchHint: "a", Matrix: matrix,
				Hold: &decision.Hold{Until: begin.Add(time.Minute)}}},
			want: with(observation("/attempt/1", "podtrail-scheduler: 2 nodes → 1 feasible → a"), func(o *trail.Observation) {
				o.Facts = []trail.Fact{{Key: "attempt", Value: "1"}, {Key: "node", Value: "a"},
					{Key: "why", Value: decision.Why(&decision.Attempt{Node: "a", BatchHint: "a"})},
					{Key: "held in Permit until", Value: "2026-05-04T10:03:11Z"}}
			}),
		},
		"unschedulable": {
			record: decision.Record{Attempt: &decision.Attempt{Number: 1, Outcome: decision.Unschedulable, Message: "0/2 nodes are available"}},
			want: with(observation("/attempt/1", "podtrail-scheduler: 0 nodes → 0 feasible; 0/2 nodes are available"), func(o *trail.Observation) {
				o.Facts = []trail.Fact{{Key: "attempt", Value: "1"}}
				o.Failure = &trail.Failure{Reason: "Unschedulable", Message: "0/2 nodes are available"}
			}),
		},
		"bound": {
			record: decision.Record{Binding: &decision.Binding{Attempt: 2, Node: "a", Outcome: decision.Bound, Took: time.Second,
				Steps: []decision.Step{{Name: "PreBind", Took: time.Microsecond}, {Name: "Bind", Took: 4 * time.Millisecond}}}},
			want: with(observation("/binding/2", "bound to a: PreBind 1µs, Bind 4ms"), func(o *trail.Observation) {
				o.Duration = time.Second
				o.Facts = []trail.Fact{{Key: "node", Value: "a"}}
			}),
		},
		"a binding that failed": {
			record: decision.Record{Binding: &decision.Binding{Attempt: 2, Node: "a", Outcome: decision.Failed, Message: "conflict"}},
			want: with(observation("/binding/2", "could not be bound to a: conflict"), func(o *trail.Observation) {
				o.Facts = []trail.Fact{{Key: "node", Value: "a"}}
				o.Failure = &trail.Failure{Reason: "BindingFailed", Message: "conflict"}
			}),
		},
		"woken": {
			record: decision.Record{Move: &decision.Move{Event: "NodeUpdateNodeTaint", Object: "Node b", Plugins: []string{"TaintToleration"}}},
			want:   observation("/move", "woken by NodeUpdateNodeTaint of Node b (queueing hint of TaintToleration)"),
		},
		"a victim": {
			record: decision.Record{Victim: &decision.Victim{Pod: decision.Pod{Namespace: "other", Name: "low", UID: "low-uid"}, Node: "b"}},
			want:   observation("/victim/low-uid", "preempts Pod other/low on b"),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.record.Pod, tc.record.Scheduler, tc.record.Time = pod, "podtrail-scheduler", begin
			data, err := json.Marshal(tc.record)
			if err != nil {
				t.Fatalf("Encoding: %v", err)
			}
			got, err := source.ParseDecision(source.Record{Source: source.Decision, Node: "cp", Data: data})
			if err != nil {
				t.Fatalf("ParseDecision: %v", err)
			}
			if diff := cmp.Diff([]trail.Observation{tc.want}, got); diff != "" {
				t.Errorf("Observations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseDecisionRefusesWhatIsNone(t *testing.T) {
	for name, tc := range map[string]struct{ data, want string }{
		"no JSON":   {data: `{"pod":`, want: `decode decision record of "cp"`},
		"no Pod":    {data: `{"attempt":{}}`, want: "pod.uid is empty"},
		"nothing":   {data: `{"pod":{"namespace":"demo","name":"web","uid":"u"}}`, want: "Pod demo/web holds 0 of attempt, binding, move and victim"},
		"two kinds": {data: `{"pod":{"uid":"u"},"attempt":{},"move":{}}`, want: "holds 2 of"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := source.ParseDecision(source.Record{Node: "cp", Data: []byte(tc.data)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Error %v, want one with %q", err, tc.want)
			}
		})
	}
}
