// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"podtrail.dev/podtrail/trail/decision"
)

// scheduleDocument is the machine-readable form of a Pod's decisions. Fields are only added; apiVersion changes when
// one must be removed or change its meaning. Durations are in nanoseconds.
type scheduleDocument struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Pod        decision.Pod       `json:"pod"`
	Scheduler  string             `json:"scheduler"`
	Attempts   []scheduledAttempt `json:"attempts"`
	// Moves are those after the last attempt.
	Moves []decision.Moved `json:"moves"`
}

// scheduledAttempt is an attempt with an entry for each node.
type scheduledAttempt struct {
	Time  time.Time       `json:"time"`
	Woken *decision.Moved `json:"woken,omitempty"`
	// Attempt is as recorded, but without its matrix: Nodes has the same in a form that is easier to read.
	decision.Attempt
	// Why is the reason for the chosen node in one sentence.
	Why     string            `json:"why,omitempty"`
	Nodes   []scheduledNode   `json:"nodes"`
	Victims []decision.Victim `json:"victims"`
	// Changes are what must change for the Pod to fit, the cheapest first; empty for a Pod that has a node.
	Changes []scheduledChange `json:"changes"`
	Binding *decision.Binding `json:"binding,omitempty"`
}

type scheduledNode struct {
	Name string `json:"name"`
	// Looked reports whether the scheduler looked at this node.
	Looked  bool              `json:"looked"`
	Filters []scheduledFilter `json:"filters"`
	// Scores is empty for a node that was not scored. ScoresSeen reports whether the scheduler computed them.
	Scores     []scheduledScore `json:"scores,omitempty"`
	ScoresSeen bool             `json:"scoresSeen,omitempty"`
	Sum        *int64           `json:"sum,omitempty"`
}

type scheduledFilter struct {
	Plugin string `json:"plugin"`
	// Verdict is passes, refused, notAsked, or skipped if the plugin has nothing to check for this Pod.
	Verdict string `json:"verdict"`
	// Seen reports whether the scheduler itself asked; otherwise the verdict was evaluated afterwards.
	Seen         bool   `json:"seen"`
	Reason       string `json:"reason,omitempty"`
	Unresolvable bool   `json:"unresolvable,omitempty"`
}

type scheduledScore struct {
	Plugin string `json:"plugin"`
	Weight int64  `json:"weight"`
	// Raw is left out if nothing was evaluated afterwards.
	Raw        *int64 `json:"raw,omitempty"`
	Normalised int64  `json:"normalised"`
	Weighted   int64  `json:"weighted"`
}

type scheduledChange struct {
	Nodes    []string           `json:"nodes"`
	Refusals []decision.Refusal `json:"lacks"`
	// Sure reports whether every plugin was asked.
	Sure bool `json:"sure"`
}

// ScheduleJSON writes what was decided about a Pod for programs.
func ScheduleJSON(out io.Writer, h decision.History) error {
	document := scheduleDocument{
		APIVersion: "podtrail.dev/v1", Kind: "Schedule", Pod: h.Pod, Scheduler: h.Scheduler,
		Attempts: []scheduledAttempt{}, Moves: append([]decision.Moved{}, h.Moves...),
	}
	for i := range h.Attempts {
		document.Attempts = append(document.Attempts, describeAttempt(&h.Attempts[i]))
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("write decisions: %w", err)
	}
	return nil
}

func describeAttempt(a *decision.Attempted) scheduledAttempt {
	m := &a.Matrix
	out := scheduledAttempt{
		Time: a.Time, Woken: a.Woken, Attempt: a.Attempt, Why: decision.Why(&a.Attempt), Binding: a.Binding,
		Victims: append([]decision.Victim{}, a.Victims...), Changes: []scheduledChange{}, Nodes: []scheduledNode{},
	}
	out.Matrix = decision.Matrix{}
	position := make([]int, len(m.Nodes))
	for _, row := range m.Rows {
		filters := filtersOf(m, row)
		for _, node := range row.Nodes {
			position[node] = len(out.Nodes)
			out.Nodes = append(out.Nodes, scheduledNode{Name: m.Nodes[node], Looked: row.Looked, Filters: filters})
		}
	}
	for column, sum := range m.Sums() {
		node := &out.Nodes[position[m.Scored[column]]]
		node.Sum, node.ScoresSeen, node.Scores = &sum, m.ScoresSeen, scoresOf(m, column)
	}
	slices.SortFunc(out.Nodes, func(a, b scheduledNode) int { return strings.Compare(a.Name, b.Name) })
	if a.Node == "" {
		for _, f := range decision.Fixes(m) {
			out.Changes = append(out.Changes, scheduledChange{Nodes: namesOf(m, f.Nodes), Refusals: f.Refusals, Sure: f.Sure})
		}
	}
	return out
}

func filtersOf(m *decision.Matrix, row decision.Row) []scheduledFilter {
	out := make([]scheduledFilter, 0, len(m.Filters))
	for i, filter := range m.Filters {
		one := scheduledFilter{Plugin: filter.Plugin, Verdict: "notAsked"}
		if filter.Skipped {
			one.Verdict = "skipped"
		}
		switch v := row.Verdicts[i]; v.Answer {
		case decision.Passes:
			one.Verdict, one.Seen = "passes", v.Seen
		case decision.Refuses:
			reason := m.Reasons[v.Reason]
			one.Verdict, one.Seen, one.Reason, one.Unresolvable = "refused", v.Seen, reason.Text, reason.Unresolvable
		}
		out = append(out, one)
	}
	return out
}

func scoresOf(m *decision.Matrix, column int) []scheduledScore {
	out := make([]scheduledScore, 0, len(m.Scores))
	for _, score := range m.Scores {
		one := scheduledScore{Plugin: score.Plugin, Weight: score.Weight, Normalised: score.Normalised[column]}
		one.Weighted = one.Normalised * one.Weight
		if column < len(score.Raw) {
			one.Raw = &score.Raw[column]
		}
		out = append(out, one)
	}
	return out
}
