// SPDX-License-Identifier: Apache-2.0

package decision

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	start = time.Date(2026, 5, 4, 10, 2, 11, 0, time.UTC)
	web   = Pod{Namespace: "demo", Name: "web", UID: "web-uid"}
)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func TestVerdictsInJSON(t *testing.T) {
	tests := map[string]struct {
		number  int
		verdict Verdict
	}{
		"not asked":                     {0, Verdict{}},
		"passes":                        {1, Verdict{Answer: Passes, Seen: true}},
		"would pass":                    {2, Verdict{Answer: Passes}},
		"the first reason, seen":        {3, Verdict{Answer: Refuses, Seen: true}},
		"the first reason, evaluated":   {4, Verdict{Answer: Refuses}},
		"the fourth reason, evaluated":  {10, Verdict{Answer: Refuses, Reason: 3}},
		"the 4,000th reason, seen":      {8001, Verdict{Answer: Refuses, Seen: true, Reason: 3999}},
		"the 4,000th reason, evaluated": {8002, Verdict{Answer: Refuses, Reason: 3999}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			encoded, err := json.Marshal(Verdicts{{}, tc.verdict})
			if want := fmt.Sprintf("[0,%d]", tc.number); err != nil || string(encoded) != want {
				t.Fatalf("Marshal gave %s, %v, want %s", encoded, err, want)
			}
			var back Verdicts
			if err := json.Unmarshal(encoded, &back); err != nil {
				t.Fatalf("Unmarshal: %v", err)
			}
			if diff := cmp.Diff(Verdicts{{}, tc.verdict}, back); diff != "" {
				t.Errorf("Read back (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerdictsThatCannotBeRead(t *testing.T) {
	for _, given := range []string{`[1,-1]`, `["1"]`, `1`, `[1.5]`, `[99999999999999999999]`} {
		var got Verdicts
		if err := json.Unmarshal([]byte(given), &got); err == nil || !strings.Contains(err.Error(), "verdicts") {
			t.Errorf("%s: error %v, want one that names verdicts", given, err)
		}
	}
}

func TestHistories(t *testing.T) {
	attempt := func(second, number int) Record {
		return Record{Pod: web, Scheduler: "s", Time: at(second), Attempt: &Attempt{Number: number, Preemption: &Preemption{}}}
	}
	move := func(second int, event string) Record {
		return Record{Pod: web, Scheduler: "s", Time: at(second), Move: &Move{Event: event}}
	}
	binding := func(second, number int, node string) Record {
		return Record{Pod: web, Scheduler: "s", Time: at(second), Binding: &Binding{Attempt: number, Node: node}}
	}
	// attempted is what became of an attempt.
	type attempted struct {
		Second, Number int
		Woken, Bound   string
		Victims        int
	}
	tests := map[string]struct {
		records   []Record
		want      []attempted
		wantMoves []string
	}{
		"a move wakes the next attempt": {
			records: []Record{attempt(0, 1), move(3, "NodeAdd"), attempt(4, 2)},
			want:    []attempted{{Second: 0, Number: 1}, {Second: 4, Number: 2, Woken: "NodeAdd"}},
		},
		"of two moves the first one did it": {
			records: []Record{attempt(0, 1), move(3, "NodeAdd"), move(4, "PodDelete"), attempt(5, 2)},
			want:    []attempted{{Second: 0, Number: 1}, {Second: 5, Number: 2, Woken: "NodeAdd"}},
		},
		"a move without an attempt is on its way": {
			records: []Record{attempt(0, 1), move(3, "NodeAdd")},
			want:    []attempted{{Second: 0, Number: 1}}, wantMoves: []string{"NodeAdd"},
		},
		"records out of order": {
			records: []Record{binding(6, 2, "b"), attempt(4, 2), move(3, "NodeAdd"), attempt(0, 1)},
			want:    []attempted{{Second: 0, Number: 1}, {Second: 4, Number: 2, Woken: "NodeAdd", Bound: "b"}},
		},
		"a binding belongs to its attempt, not to the last": {
			records: []Record{attempt(0, 1), attempt(4, 2), binding(5, 1, "a")},
			want:    []attempted{{Second: 0, Number: 1, Bound: "a"}, {Second: 4, Number: 2}},
		},
		"after a restart the numbers begin again": {
			records: []Record{attempt(0, 1), binding(1, 1, "a"), attempt(9, 1), binding(10, 1, "b")},
			want:    []attempted{{Second: 0, Number: 1, Bound: "a"}, {Second: 9, Number: 1, Bound: "b"}},
		},
		"victims belong to the attempt that preempts": {
			records: []Record{
				attempt(0, 1), {Pod: web, Time: at(1), Victim: &Victim{Node: "a"}}, {Pod: web, Time: at(1), Victim: &Victim{Node: "a"}},
				{Pod: web, Time: at(4), Attempt: &Attempt{Number: 2}},
			},
			want: []attempted{{Second: 0, Number: 1, Victims: 2}, {Second: 4, Number: 2}},
		},
		"a binding whose attempt is gone": {records: []Record{binding(5, 1, "a"), attempt(6, 2)}, want: []attempted{{Second: 6, Number: 2}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			histories := Histories(tc.records)
			if len(histories) != 1 {
				t.Fatalf("%d histories, want that of one Pod", len(histories))
			}
			var got []attempted
			for _, a := range histories[0].Attempts {
				one := attempted{Second: int(a.Time.Sub(start).Seconds()), Number: a.Number, Victims: len(a.Victims)}
				if a.Woken != nil {
					one.Woken = a.Woken.Event
				}
				if a.Binding != nil {
					one.Bound = a.Binding.Node
				}
				got = append(got, one)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Attempts (-want +got):\n%s", diff)
			}
			var moves []string
			for _, m := range histories[0].Moves {
				moves = append(moves, m.Event)
			}
			if diff := cmp.Diff(tc.wantMoves, moves); diff != "" {
				t.Errorf("Moves after the last attempt (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHistoriesKeepPodsOfOneNameApart(t *testing.T) {
	second := web
	second.UID = "another-uid"
	got := Histories([]Record{
		{Pod: second, Time: at(5), Attempt: &Attempt{Number: 1}},
		{Pod: web, Time: at(0), Attempt: &Attempt{Number: 1}},
	})
	if len(got) != 2 || got[0].Pod != web || got[1].Pod != second {
		t.Errorf("Histories of %v, want one for each UID, the newest last", got)
	}
}

// three is a matrix of three nodes and two filters: a is refused by the first, b by the second, c passes.
func three() Matrix {
	return Matrix{
		Nodes:   []string{"a", "b", "c"},
		Filters: []Filter{{Plugin: "Taints"}, {Plugin: "Fit"}},
		Reasons: []Reason{{Text: "untolerated taint"}, {Text: "Insufficient cpu"}},
		Rows: []Row{
			{Nodes: []int{0}, Looked: true, Verdicts: Verdicts{Refuse(0, true), Refuse(1, false)}},
			{Nodes: []int{1}, Looked: true, Verdicts: Verdicts{Pass(true), Refuse(1, true)}},
			{Nodes: []int{2}, Looked: true, Verdicts: Verdicts{Pass(true), Pass(true)}},
		},
	}
}

// scored is a matrix of three nodes that pass, with scores that were seen.
func scored(scores ...Score) Matrix {
	return Matrix{
		Nodes: []string{"a", "b", "c"}, Filters: []Filter{{Plugin: "Fit"}},
		Rows:   []Row{{Nodes: []int{0, 1, 2}, Looked: true, Verdicts: Verdicts{Pass(true)}}},
		Scored: []int{2, 0, 1}, ScoresSeen: true, Scores: scores,
	}
}

func TestWhyAndSummary(t *testing.T) {
	tests := map[string]struct {
		attempt     Attempt
		wantSummary string
		wantWhy     string
	}{
		"no node": {
			attempt: Attempt{Outcome: Unschedulable, Message: "0/3 nodes are available", Matrix: Matrix{
				Nodes: []string{"a"}, Filters: []Filter{{Plugin: "Fit"}}, Reasons: []Reason{{Text: "Insufficient cpu"}},
				Rows: []Row{{Nodes: []int{0}, Looked: true, Verdicts: Verdicts{Refuse(0, true)}}},
			}},
			wantSummary: "1 node → 0 feasible; 0/3 nodes are available",
		},
		"one node left": {
			attempt:     Attempt{Node: "c", Matrix: three()},
			wantSummary: "3 nodes → 1 feasible → c",
			wantWhy:     "only this node was left, so the scores decided nothing; a: untolerated taint; b: Insufficient cpu",
		},
		"the best": {
			attempt: Attempt{Node: "c", Matrix: scored(
				Score{Plugin: "Zone", Weight: 3, Normalised: []int64{100, 0, 50}},
				Score{Plugin: "Fit", Weight: 1, Normalised: []int64{20, 60, 70}},
			)},
			wantSummary: "3 nodes → 3 feasible → c (320) over b (220)",
			wantWhy:     "it has 320 points, 100 more than b; Zone by itself puts it 150 ahead",
		},
		"equal ones": {
			attempt:     Attempt{Node: "a", Matrix: scored(Score{Plugin: "Fit", Weight: 1, Normalised: []int64{50, 50, 10}})},
			wantSummary: "3 nodes → 3 feasible → a",
			wantWhy:     "it has 50 points, as 1 other node has; between equals the order in which they passed the filters decides",
		},
		"out of a batch": {
			attempt:     Attempt{Node: "c", BatchHint: "c", Matrix: three()},
			wantSummary: "3 nodes → 1 feasible → c",
			wantWhy:     "it was next in the batch: the previous Pod has the same signature, so its scores were reused and none were computed",
		},
		"a batch that offered another": {
			attempt:     Attempt{Node: "c", BatchHint: "b", Matrix: three()},
			wantSummary: "3 nodes → 1 feasible → c",
			wantWhy:     "only this node was left, so the scores decided nothing; a: untolerated taint; b: Insufficient cpu",
		},
		"nominated before": {
			attempt:     Attempt{Node: "c", Nominated: "c", Matrix: three()},
			wantSummary: "3 nodes → 1 feasible → c",
			wantWhy:     "it was nominated in an earlier attempt, so it was tried first, and it still fits",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.wantSummary, Summary(&tc.attempt)); diff != "" {
				t.Errorf("Summary (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantWhy, Why(&tc.attempt)); diff != "" {
				t.Errorf("Why (-want +got):\n%s", diff)
			}
		})
	}
}
