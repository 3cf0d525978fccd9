// SPDX-License-Identifier: Apache-2.0

package decision

import "slices"

// Matrix is nodes by plugins. Nodes with the same verdict of every plugin share a row, and texts are kept once, so that
// a record of 5,000 nodes stays small. Its methods, and the functions that read it, need one that fits together: Validate.
type Matrix struct {
	// Nodes are the names of all nodes of the scheduler's snapshot.
	Nodes []string `json:"nodes,omitempty"`
	// Filters are the columns, in the order in which the scheduler asks.
	Filters []Filter `json:"filters,omitempty"`
	// Reasons are the texts of refusals, each once.
	Reasons []Reason `json:"reasons,omitempty"`
	Rows    []Row    `json:"rows,omitempty"`
	// Scored are the nodes that have scores, by their index in Nodes, in the order in which they passed the filters.
	Scored []int `json:"scored,omitempty"`
	// ScoresSeen says that the scheduler computed the scores. Otherwise it needed none, because one node was left or a
	// batch offered one, and they were evaluated afterwards.
	ScoresSeen bool    `json:"scoresSeen,omitempty"`
	Scores     []Score `json:"scores,omitempty"`
}

// Filter is a column.
type Filter struct {
	Plugin string `json:"plugin"`
	// Skipped says that the plugin's PreFilter found nothing to do for this Pod, so that its Filter is not called.
	Skipped bool `json:"skipped,omitempty"`
}

// Reason is why a node was refused.
type Reason struct {
	Text string `json:"text"`
	// Unresolvable says that preemption cannot help (UnschedulableAndUnresolvable).
	Unresolvable bool `json:"unresolvable,omitempty"`
}

// Row is the verdicts on some nodes.
type Row struct {
	// Nodes are indexes in Matrix.Nodes.
	Nodes Indexes `json:"nodes"`
	// Looked reports whether the scheduler looked at these nodes; of a large cluster it looks at a part (sampling), and a
	// PreFilter plugin can exclude nodes.
	Looked bool `json:"looked"`
	// Verdicts has one for each of Matrix.Filters.
	Verdicts Verdicts `json:"verdicts"`
}

// Score is the scores of one plugin, one for each of Matrix.Scored.
type Score struct {
	Plugin string `json:"plugin"`
	Weight int64  `json:"weight"`
	// Raw are what Score returned, before NormalizeScore. The scheduler does not tell them: they are always evaluated
	// afterwards, and missing where nothing was.
	Raw []int64 `json:"raw,omitempty"`
	// Normalised are from 0 to 100; times Weight they are what counts. They are seen if Matrix.ScoresSeen.
	Normalised []int64 `json:"normalised"`
}

// Sums returns the sum of the weighted scores of each of Scored.
func (m *Matrix) Sums() []int64 {
	sums := make([]int64, len(m.Scored))
	for _, score := range m.Scores {
		for i, value := range score.Normalised {
			sums[i] += value * score.Weight
		}
	}
	return sums
}

// Looked counts the nodes that the scheduler looked at.
func (m *Matrix) Looked() int {
	looked := 0
	for _, row := range m.Rows {
		if row.Looked {
			looked += len(row.Nodes)
		}
	}
	return looked
}

// Feasible counts the nodes at which the scheduler looked and which no plugin refused.
func (m *Matrix) Feasible() int {
	feasible := 0
	for _, row := range m.Rows {
		if row.Looked && !slices.ContainsFunc(row.Verdicts, func(v Verdict) bool { return v.Refused() && v.Seen }) {
			feasible += len(row.Nodes)
		}
	}
	return feasible
}
