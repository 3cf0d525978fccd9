// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail/decision"
)

const ample = 1 << 20

func attemptOn(matrix decision.Matrix) decision.Record {
	return decision.Record{
		Pod: decision.Pod{Namespace: "demo", Name: "web", UID: "u"}, Time: time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC),
		Attempt: &decision.Attempt{Number: 1, Message: `a "matrix":{ of \ 0/2 nodes`, Matrix: matrix},
	}
}

func TestARecordIsServedAsItWas(t *testing.T) {
	nodes := []string{"one", "two"}
	tests := map[string]struct {
		record decision.Record
		most   int64
	}{
		"with a matrix": {attemptOn(decision.Matrix{
			Nodes: nodes, Filters: []decision.Filter{{Plugin: "NodeName"}},
			Rows: []decision.Row{{Nodes: []int{0, 1}, Looked: true, Verdicts: []decision.Verdict{decision.Passes}}},
		}), ample},
		"with nodes alone":                       {attemptOn(decision.Matrix{Nodes: nodes}), ample},
		"with more nodes than there is room for": {attemptOn(decision.Matrix{Nodes: nodes}), 10},
		"without nodes":                          {attemptOn(decision.Matrix{}), ample},
		"of a binding":                           {decision.Record{Binding: &decision.Binding{Node: "one"}}, ample},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var sets nodeSets
			want, err := json.Marshal(tc.record)
			if err != nil {
				t.Fatal(err)
			}
			packed, err := sets.pack(tc.record, tc.most)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := sets.unpack(packed)
			if diff := cmp.Diff(string(want), string(got)); !ok || diff != "" {
				t.Errorf("there: %v; served (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestANodeSetIsKeptOnceAndAsLongAsItIsNeeded(t *testing.T) {
	var sets nodeSets
	nodes := []string{strings.Repeat("a", 1000)}
	pack := func(names []string) []byte {
		packed, err := sets.pack(attemptOn(decision.Matrix{Nodes: names}), ample)
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	first, second := pack(nodes), pack(nodes)
	once := sets.held()
	if len(first) > 1000 || once < 1000 || once > 4000 {
		t.Errorf("two records of the same node: the first takes %d bytes, the set %d; want the name of 1000 once in the set", len(first), once)
	}
	other := pack([]string{"b"})
	sets.release(first)
	if _, ok := sets.unpack(second); !ok {
		t.Error("the set is gone, and a record still refers to it")
	}
	sets.release(second)
	if _, ok := sets.unpack(second); ok {
		t.Error("the set is there after the last of its records has gone")
	}
	sets.release(other)
	if held := sets.held(); held != 0 || len(sets.sets) != 0 {
		t.Errorf("%d bytes in %d sets are held after all records have gone", held, len(sets.sets))
	}
}
