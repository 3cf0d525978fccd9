// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/source"
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
			Rows: []decision.Row{{Nodes: []int{0, 1}, Looked: true, Verdicts: decision.Verdicts{decision.Pass(true)}}},
		}), ample},
		"with nodes only":                {attemptOn(decision.Matrix{Nodes: nodes}), ample},
		"with more nodes than the limit": {attemptOn(decision.Matrix{Nodes: nodes}), 10},
		"without nodes":                  {attemptOn(decision.Matrix{}), ample},
		"of a binding":                   {decision.Record{Binding: &decision.Binding{Node: "one"}}, ample},
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
			got, err := sets.unpack(packed)
			if diff := cmp.Diff(string(want), string(got)); err != nil || diff != "" {
				t.Errorf("error %v; served (-want +got):\n%s", err, diff)
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
	if _, err := sets.unpack(second); err != nil {
		t.Errorf("a record still refers to the set: %v", err)
	}
	sets.release(second)
	if _, err := sets.unpack(second); !errors.Is(err, errNoSet) {
		t.Errorf("error %v after the last record of the set has gone, want that the set is gone", err)
	}
	sets.release(other)
	if held := sets.held(); held != 0 || len(sets.sets) != 0 {
		t.Errorf("%d bytes in %d sets are held after all records have gone", held, len(sets.sets))
	}
}

// matrix5000 is what the scheduler sees on 5,000 nodes, of which it looks at a tenth.
func matrix5000() decision.Matrix {
	const nodes, looked = 5000, 500
	matrix := decision.Matrix{
		Filters: []decision.Filter{{Plugin: "NodeResourcesFit"}, {Plugin: "ImageZone"}},
		Rows: []decision.Row{
			{Looked: true, Verdicts: decision.Verdicts{decision.Pass(true), decision.Pass(true)}},
			{Verdicts: make(decision.Verdicts, 2)},
		},
		Scores: []decision.Score{{Plugin: "NodeResourcesFit", Weight: 1}, {Plugin: "ImageZone", Weight: 2}},
	}
	for i := range nodes {
		matrix.Nodes = append(matrix.Nodes, fmt.Sprintf("node-%04d.zone-%d.example", i, i%3))
		if i >= looked {
			matrix.Rows[1].Nodes = append(matrix.Rows[1].Nodes, i)
			continue
		}
		matrix.Rows[0].Nodes = append(matrix.Rows[0].Nodes, i)
		matrix.Scored = append(matrix.Scored, i)
		for s := range matrix.Scores {
			matrix.Scores[s].Normalised = append(matrix.Scores[s].Normalised, int64(i%101))
		}
	}
	return matrix
}

// BenchmarkPack5000 encodes an attempt on 5,000 nodes and reports how many bytes of it are kept and how many are
// served.
func BenchmarkPack5000(b *testing.B) {
	record := attemptOn(matrix5000())
	var sets nodeSets
	var kept []byte
	for b.Loop() {
		var err error
		if kept, err = sets.pack(record, ample); err != nil {
			b.Fatal(err)
		}
	}
	served, err := sets.unpack(kept)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(kept)), "B-kept")
	b.ReportMetric(float64(len(served)), "B-served")
}

// BenchmarkServe5000 takes an attempt on 5,000 nodes out of the buffer as a reader of it makes the scheduler do.
func BenchmarkServe5000(b *testing.B) {
	var sets nodeSets
	kept, err := sets.pack(attemptOn(matrix5000()), ample)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		served, err := sets.unpack(kept)
		if err != nil {
			b.Fatal(err)
		}
		// telemetry/serve writes it so.
		if err := json.NewEncoder(io.Discard).Encode(source.Record{Source: source.Decision, Data: served}); err != nil {
			b.Fatal(err)
		}
	}
}
