// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/render"
)

var decided = time.Date(2026, 5, 4, 10, 2, 11, 418e6, time.UTC)

var (
	notAsked  decision.Verdict
	passes    = decision.Pass(true)
	wouldPass = decision.Pass(false)
)

// sketch is the Pod of the design's sketch: one node has a taint, one lacks room, one is left.
func sketch() decision.History {
	return decision.History{
		Pod: decision.Pod{Namespace: "demo", Name: "web-x7k2p", UID: "u"}, Scheduler: "podtrail-scheduler",
		Attempts: []decision.Attempted{
			{Time: decided.Add(-time.Second), Attempt: decision.Attempt{Number: 1, Outcome: decision.Unschedulable, Message: "0/2 nodes are available"}},
			{
				Time: decided, Woken: &decision.Moved{Time: decided.Add(-time.Millisecond), Move: decision.Move{Event: "NodeAdd", Object: "Node worker2", Plugins: []string{"ImageZone"}}},
				Attempt: decision.Attempt{
					Number: 2, Took: 900 * time.Microsecond, FirstQueued: decided.Add(-1300 * time.Millisecond), Outcome: decision.Placed, Node: "worker2",
					Steps: []decision.Step{{Name: "PreFilter", Took: 100 * time.Microsecond}, {Name: "Filter", Took: 400 * time.Microsecond}},
					Matrix: decision.Matrix{
						Nodes:   []string{"control-plane", "worker", "worker2"},
						Filters: []decision.Filter{{Plugin: "NodeName"}, {Plugin: "ImageZone"}, {Plugin: "NodeResourcesFit"}, {Plugin: "TaintToleration"}, {Plugin: "VolumeBinding", Skipped: true}},
						Reasons: []decision.Reason{{Text: "untolerated taint node-role.kubernetes.io/control-plane"}, {Text: "120 MB free, image needs 310 MB"}, {Text: "Insufficient cpu"}},
						Rows: []decision.Row{
							{Nodes: []int{0}, Looked: true, Verdicts: decision.Verdicts{passes, passes, passes, decision.Refuse(0, true), notAsked}},
							{Nodes: []int{1}, Looked: true, Verdicts: decision.Verdicts{passes, decision.Refuse(1, true), decision.Refuse(2, false), wouldPass, notAsked}},
							{Nodes: []int{2}, Looked: true, Verdicts: decision.Verdicts{passes, passes, passes, passes, notAsked}},
						},
						Scored: []int{2},
						Scores: []decision.Score{{Plugin: "ImageZone", Weight: 3, Raw: []int64{880}, Normalised: []int64{100}}, {Plugin: "NodeResourcesFit", Weight: 1, Raw: []int64{61}, Normalised: []int64{61}}},
					},
					Evaluation: decision.Evaluation{Done: true},
				},
				Binding: &decision.Binding{Attempt: 2, Node: "worker2", Outcome: decision.Bound, Steps: []decision.Step{{Name: "Bind", Took: 4 * time.Millisecond}}},
			},
		},
	}
}

// pending is the same without worker2.
func pending() decision.History {
	h := sketch()
	h.Attempts = h.Attempts[1:]
	a := &h.Attempts[0]
	a.Number, a.Outcome, a.Node, a.Binding, a.Woken = 1, decision.Unschedulable, "", nil, nil
	a.Message = "0/2 nodes are available: 1 Insufficient cpu."
	a.Matrix.Nodes, a.Matrix.Rows = a.Matrix.Nodes[:2], a.Matrix.Rows[:2]
	a.Matrix.Scored, a.Matrix.Scores = nil, nil
	return h
}

func heldPod() decision.History {
	h := sketch()
	h.Attempts = h.Attempts[1:]
	h.Attempts[0].Binding = nil
	h.Attempts[0].Hold = &decision.Hold{Until: decided.Add(90 * time.Second)}
	return h
}

// cluster is a Pod that was refused on 5,000 nodes for 40 kinds of reasons; the scheduler looked at half of them.
func cluster() decision.History {
	const nodes, kinds = 5000, 40
	h := pending()
	m := &h.Attempts[0].Matrix
	*m = decision.Matrix{Filters: m.Filters}
	for i := range nodes {
		m.Nodes = append(m.Nodes, fmt.Sprintf("node-%04d.rack-%02d.example", i, i%50))
	}
	for kind := range kinds {
		m.Reasons = append(m.Reasons, decision.Reason{Text: fmt.Sprintf("Insufficient example.com/gpu-%d", kind)})
		row := decision.Row{Looked: kind%2 == 0, Verdicts: decision.Verdicts{passes, passes, decision.Refuse(kind, kind%2 == 0), wouldPass, notAsked}}
		for i := kind; i < nodes; i += kinds {
			row.Nodes = append(row.Nodes, i)
		}
		m.Rows = append(m.Rows, row)
	}
	return h
}

func scheduled(t *testing.T, h decision.History, options render.ScheduleOptions) string {
	t.Helper()
	if options.Now.IsZero() {
		options.Now = decided.Add(time.Second)
	}
	var out bytes.Buffer
	if err := render.Schedule(&out, h, options); err != nil {
		t.Fatalf("Schedule: %v", err)
	}
	return out.String()
}

func TestSchedule(t *testing.T) {
	tests := map[string]struct {
		history decision.History
		options render.ScheduleOptions
		want    string
	}{
		"placed on the only node that was left": {
			history: sketch(), options: render.ScheduleOptions{Width: 100},
			want: `web-x7k2p → worker2 after 2 attempts; 1.30 s in the queue, 900 µs deciding

attempt 1 at 10:02:10.418
  0 nodes → 0 feasible; 0/2 nodes are available

attempt 2 at 10:02:11.418, woken by NodeAdd of Node worker2 (queueing hint of ImageZone)
FILTER         ImageZone  NodeResourcesFit  TaintToleration
control-plane  ✓          ✓                 ✗                untolerated taint
                                                             node-role.kubernetes.io/control-plane
worker         ✗          ·✗                ·✓               120 MB free, image needs 310 MB (·also:
                                                             Insufficient cpu)
worker2        ✓          ✓                 ✓
all 3 nodes are passed by NodeName
not needed for this Pod: VolumeBinding
· not asked by the scheduler, evaluated afterwards on a copy of the nodes

SCORE    ImageZone×3  NodeResourcesFit×1  sum
worker2  880 → 100    61                  361
evaluated afterwards: the scheduler needed no scores

PreFilter 100 µs · Filter 400 µs · Bind 4.0 ms
why worker2: only this node was left, so the scores decided nothing; control-plane: untolerated
taint node-role.kubernetes.io/control-plane; worker: 120 MB free, image needs 310 MB

next: podtrail trail pod/web-x7k2p -n demo
`,
		},
		"pending, with the cheapest change first": {
			history: pending(), options: render.ScheduleOptions{Width: 100},
			want: `web-x7k2p is on no node after 1 attempt: 0/2 nodes are available: 1 Insufficient cpu.

attempt 1 at 10:02:11.418
FILTER         ImageZone  NodeResourcesFit  TaintToleration
control-plane  ✓          ✓                 ✗                untolerated taint
                                                             node-role.kubernetes.io/control-plane
worker         ✗          ·✗                ·✓               120 MB free, image needs 310 MB (·also:
                                                             Insufficient cpu)
all 2 nodes are passed by NodeName
not needed for this Pod: VolumeBinding
· not asked by the scheduler, evaluated afterwards on a copy of the nodes

PreFilter 100 µs · Filter 400 µs
for the Pod to fit, the cheapest change first:
  1. control-plane
       TaintToleration: untolerated taint node-role.kubernetes.io/control-plane — remove the taint
       from the node, or let the Pod tolerate it
  2. worker
       ImageZone: 120 MB free, image needs 310 MB — free space on the node's disk
       NodeResourcesFit: Insufficient cpu — free the resource on the node, or let the Pod request
       less

next: change one of these, then podtrail schedule pod/web-x7k2p -n demo
`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, scheduled(t, tc.history, tc.options)); diff != "" {
				t.Errorf("Output (-want +got):\n%s", diff)
			}
		})
	}
}

// TestScheduleSays: what single lines say.
func TestScheduleSays(t *testing.T) {
	batch := sketch()
	batch.Attempts[1].BatchHint = "worker2"
	differs := sketch()
	differs.Attempts[1].Evaluation = decision.Evaluation{Done: true, Differences: 2, Example: "Fit on node worker"}
	busy := sketch()
	busy.Attempts[1].Evaluation = decision.Evaluation{Why: "too many attempts at once"}
	victim := sketch()
	victim.Attempts[0].Victims = []decision.Victim{{Pod: decision.Pod{Namespace: "other", Name: "low"}, Node: "worker"}}
	tests := map[string]struct {
		history decision.History
		options render.ScheduleOptions
		want    []string
		absent  []string
	}{
		"how long a hold lasts":        {history: heldPod(), want: []string{"web-x7k2p → worker2, held in Permit for 1m29s more", "next: podtrail continue pod/web-x7k2p -n demo"}},
		"a hold whose time is up":      {history: heldPod(), options: render.ScheduleOptions{Now: decided.Add(time.Hour)}, want: []string{"web-x7k2p → worker2, being bound"}},
		"a node out of a batch":        {history: batch, want: []string{"the node came from a batch hint: worker2", "why worker2: it was next in the batch"}},
		"an evaluation that differs":   {history: differs, want: []string{"2 evaluated verdicts and scores differ from those that were seen"}},
		"an evaluation that was not":   {history: busy, want: []string{"nothing was evaluated afterwards: too many attempts at once"}},
		"victims":                      {history: victim, want: []string{"  preempts Pod other/low on worker"}},
		"5,000 nodes in 40 groups":     {history: cluster(), want: []string{"the scheduler looked at 2500 of 5000 nodes", "125 nodes: node-0000.rack-00.example …"}, absent: []string{"node-0040"}},
		"all names when asked for":     {history: cluster(), options: render.ScheduleOptions{Nodes: true}, want: []string{"node-4999.rack-49.example", "node-0040.rack-40.example"}},
		"all attempts when asked for":  {history: sketch(), options: render.ScheduleOptions{All: true}, want: []string{"no nodes were considered: 0/2 nodes are available"}},
		"colour only if it may":        {history: sketch(), absent: []string{"\x1b["}},
		"colour beside what words say": {history: sketch(), options: render.ScheduleOptions{Color: true}, want: []string{"\x1b[32m", "✗"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := scheduled(t, tc.history, tc.options)
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("Output lacks %q:\n%.3000s", want, got)
				}
			}
			for _, absent := range tc.absent {
				if strings.Contains(got, absent) {
					t.Errorf("Output has %q:\n%.3000s", absent, got)
				}
			}
		})
	}
}

func TestScheduleFitsTheWidth(t *testing.T) {
	for name, h := range map[string]decision.History{"three nodes": sketch(), "pending": pending(), "5,000 nodes": cluster()} {
		for _, width := range []int{80, 100, 160} {
			for i, line := range strings.Split(scheduled(t, h, render.ScheduleOptions{Width: width, Nodes: true, All: true}), "\n") {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%s: line %d has %d columns of %d: %s", name, i+1, n, width, line)
				}
			}
		}
	}
}

// TestScheduleJSON: every node is written out, with what was seen told from what was evaluated.
func TestScheduleJSON(t *testing.T) {
	var out bytes.Buffer
	if err := render.ScheduleJSON(&out, sketch()); err != nil {
		t.Fatalf("ScheduleJSON: %v", err)
	}
	var got struct {
		APIVersion string
		Attempts   []struct {
			Number int
			Node   string
			Matrix any
			Nodes  []struct {
				Name    string
				Sum     *int64
				Filters []struct {
					Plugin, Verdict, Reason string
					Seen                    bool
				}
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("Decoding: %v", err)
	}
	last := got.Attempts[1]
	if got.APIVersion != "podtrail.dev/v1" || last.Number != 2 || last.Node != "worker2" || last.Matrix != nil || len(last.Nodes) != 3 {
		t.Fatalf("Document %+v, want the second attempt with three nodes and no compact matrix", got)
	}
	worker := last.Nodes[1]
	if fit := worker.Filters[2]; fit.Plugin != "NodeResourcesFit" || fit.Verdict != "refused" || fit.Seen || fit.Reason != "Insufficient cpu" {
		t.Errorf("NodeResourcesFit on %s: %+v, want a refusal that was evaluated", worker.Name, fit)
	}
	if volume := worker.Filters[4]; volume.Verdict != "skipped" {
		t.Errorf("VolumeBinding: %+v, want skipped", volume)
	}
	if sum := last.Nodes[2].Sum; sum == nil || *sum != 361 {
		t.Errorf("Sum of worker2: %v, want 361", sum)
	}
}

// BenchmarkSchedule5000 prints the matrix of 5,000 nodes with every name, which must take less than a second, and
// writes it out for programs.
func BenchmarkSchedule5000(b *testing.B) {
	h := cluster()
	b.Run("matrix", func(b *testing.B) {
		for b.Loop() {
			if err := render.Schedule(io.Discard, h, render.ScheduleOptions{Width: 100, Nodes: true, Now: decided}); err != nil {
				b.Fatal(err)
			}
		}
		if each := b.Elapsed() / time.Duration(b.N); each > time.Second {
			b.Errorf("%s for the matrix of 5,000 nodes, want less than 1 s", each)
		}
	})
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			if err := render.ScheduleJSON(io.Discard, h); err != nil {
				b.Fatal(err)
			}
		}
	})
}
