// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/telemetry/spans"
	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/source"
)

// TestSpans: an attempt and its binding are spans of one trace, with a span for each extension point, at the times that
// were measured.
func TestSpans(t *testing.T) {
	keeper := spans.NewKeeper("span", 1<<20)
	provider, err := spans.New(t.Context(), spans.Options{Service: "test", Keep: keeper})
	if err != nil {
		t.Fatalf("Making a provider: %v", err)
	}
	r := NewRecorder(1<<20, provider.Tracer("test"))
	began := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	a := &attempt{
		began: began, pod: decision.Pod{Namespace: "demo", Name: "web", UID: "u"}, profile: &profile{name: "s"},
		record: decision.Attempt{
			Number: 2, Took: 3 * time.Millisecond, Outcome: decision.Placed, Node: "worker",
			Steps: []decision.Step{{Name: "Filter", After: time.Millisecond, Took: time.Millisecond}},
		},
	}
	r.traceAttempt(t.Context(), a)
	b := &binding{attempt: a, began: began.Add(time.Second), steps: []decision.Step{{Name: "Bind", Took: time.Millisecond}}}
	record := b.record(decision.Failed, "conflict")
	r.traceBinding(t.Context(), b, record)

	var got []source.SpanTree
	for record := range keeper.Records(all) {
		var tree source.SpanTree
		if err := json.Unmarshal(record.Data, &tree); err != nil {
			t.Fatalf("Decoding a span: %v", err)
		}
		got = append(got, tree)
	}
	if len(got) != 2 || len(got[0].Children) != 1 || len(got[1].Children) != 1 {
		t.Fatalf("Spans %+v, want an attempt and a binding with one extension point each", got)
	}
	schedule, bind := got[0], got[1]
	names := []string{schedule.Name, schedule.Children[0].Name, bind.Name, bind.Children[0].Name}
	if diff := cmp.Diff([]string{"Schedule", "Filter", "Bind", "Bind"}, names); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
	if schedule.TraceID != bind.TraceID {
		t.Error("The binding is in another trace than its attempt")
	}
	if filter := schedule.Children[0]; !filter.Start.Equal(began.Add(time.Millisecond)) || !filter.End.Equal(began.Add(2*time.Millisecond)) {
		t.Errorf("Filter from %s to %s, want the second millisecond", filter.Start, filter.End)
	}
	if bind.Error != "conflict" || schedule.Error != "" {
		t.Errorf("Errors %q and %q, want none and the binding's", schedule.Error, bind.Error)
	}
	for key, want := range map[string]any{"k8s.namespace.name": "demo", "k8s.pod.uid": "u", "k8s.node.name": "worker", "podtrail.outcome": "placed"} {
		if schedule.Attributes[key] != want {
			t.Errorf("Attribute %s is %v, want %v", key, schedule.Attributes[key], want)
		}
	}
}
