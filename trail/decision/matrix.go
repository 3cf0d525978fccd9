// SPDX-License-Identifier: Apache-2.0

package decision

import "slices"

// Matrix has what each plugin answered about each node. Nodes with equal verdicts share a row, and each text is kept
// once, so that a record of 5,000 nodes stays small.
//
// Its methods, and all who read it, rely on Validate: each index points into its slice, and each row and each column
// has the right length.
type Matrix struct {
	// Nodes are the names of all nodes in the scheduler's snapshot.
	Nodes []string `json:"nodes,omitempty"`
	// Filters are the columns, in the order in which the scheduler asks the plugins.
	Filters []Filter `json:"filters,omitempty"`
	// Reasons are the reasons for refusals, each once.
	Reasons []Reason `json:"reasons,omitempty"`
	Rows    []Row    `json:"rows,omitempty"`
	// Scored are the indexes in Nodes of the nodes that have scores, in the order in which they passed the filters.
	Scored []int `json:"scored,omitempty"`
	// ScoresSeen reports whether the scheduler computed the scores. Otherwise it needed none, because one node was left or
	// a batch offered one, and the scores were evaluated afterwards.
	ScoresSeen bool    `json:"scoresSeen,omitempty"`
	Scores     []Score `json:"scores,omitempty"`
}

// Filter is a column.
type Filter struct {
	Plugin string `json:"plugin"`
	// Skipped reports whether the plugin's PreFilter returned Skip, so that its Filter is not called for this Pod.
	Skipped bool `json:"skipped,omitempty"`
}

// Reason is why a node was refused.
type Reason struct {
	Text string `json:"text"`
	// Unresolvable reports whether preemption cannot help (UnschedulableAndUnresolvable).
	Unresolvable bool `json:"unresolvable,omitempty"`
}

// Row is the verdicts on some nodes.
type Row struct {
	// Nodes are indexes in Matrix.Nodes.
	Nodes Indexes `json:"nodes"`
	// Looked reports whether the scheduler looked at these nodes. In a large cluster it looks at a part of them
	// (percentageOfNodesToScore), and a PreFilter plugin can exclude nodes.
	Looked bool `json:"looked"`
	// Verdicts has one for each of Matrix.Filters.
	Verdicts Verdicts `json:"verdicts"`
}

// Score is the scores of one plugin, one for each of Matrix.Scored.
type Score struct {
	Plugin string `json:"plugin"`
	Weight int64  `json:"weight"`
	// Raw are the results of Score, before NormalizeScore. The scheduler does not expose them, so they are always
	// evaluated afterwards, and empty where nothing was evaluated.
	Raw []int64 `json:"raw,omitempty"`
	// Normalised are from 0 to 100; multiplied by Weight they are added up. They are seen if Matrix.ScoresSeen.
	Normalised []int64 `json:"normalised"`
}

// Sums returns the sum of the weighted scores of each node in Scored.
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

// Feasible counts the nodes that the scheduler looked at and that no plugin refused.
func (m *Matrix) Feasible() int {
	feasible := 0
	for _, row := range m.Rows {
		if row.Looked && !slices.ContainsFunc(row.Verdicts, func(v Verdict) bool { return v.Refused() && v.Seen }) {
			feasible += len(row.Nodes)
		}
	}
	return feasible
}
