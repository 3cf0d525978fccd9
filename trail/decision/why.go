// SPDX-License-Identifier: Apache-2.0

package decision

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Summary returns the result of an attempt in one line, for example "3 nodes → 2 feasible → worker (184) over worker2
// (121)".
func Summary(a *Attempt) string {
	m := &a.Matrix
	text := count(len(m.Nodes), "node")
	if looked := m.Looked(); looked < len(m.Nodes) {
		text += fmt.Sprintf(", %d looked at", looked)
	}
	text += fmt.Sprintf(" → %d feasible", m.Feasible())
	if a.Node == "" {
		return text + "; " + cmp.Or(a.Message, string(a.Outcome))
	}
	if ranked := Ranking(m); m.ScoresSeen && len(ranked) > 1 && m.Nodes[ranked[0].Node] == a.Node {
		return fmt.Sprintf("%s → %s (%d) over %s (%d)", text, a.Node, ranked[0].Sum, m.Nodes[ranked[1].Node], ranked[1].Sum)
	}
	return text + " → " + a.Node
}

// Ranked is a scored node.
type Ranked struct {
	// Node is an index in Matrix.Nodes, Column the node's index in Matrix.Scored.
	Node, Column int
	Sum          int64
}

// Ranking returns the scored nodes, the best first, and equal ones in the order in which they passed the filters.
func Ranking(m *Matrix) []Ranked {
	ranked := make([]Ranked, 0, len(m.Scored))
	for column, sum := range m.Sums() {
		ranked = append(ranked, Ranked{Node: m.Scored[column], Column: column, Sum: sum})
	}
	slices.SortStableFunc(ranked, func(a, b Ranked) int { return cmp.Compare(b.Sum, a.Sum) })
	return ranked
}

// Why returns the reason for the chosen node in one sentence, or "" if no node was chosen.
func Why(a *Attempt) string {
	m := &a.Matrix
	switch {
	case a.Node == "":
		return ""
	case a.BatchHint == a.Node:
		return "it was next in the batch: the previous Pod has the same signature, so its scores were reused and none were computed"
	case a.Nominated == a.Node && !m.ScoresSeen:
		return "it was nominated in an earlier attempt, so it was tried first, and it still fits"
	case !m.ScoresSeen && m.Feasible() == 1:
		return "only this node was left, so the scores decided nothing" + describeOthers(m)
	case !m.ScoresSeen:
		return "the scheduler computed no scores: no score plugin is enabled"
	}
	return byScore(a)
}

// describeOthers returns why the other nodes were refused, the most frequent reason first.
func describeOthers(m *Matrix) string {
	var parts []string
	for _, row := range m.sortedRows() {
		reasons := m.refusals(row, true)
		if len(reasons) == 0 {
			continue
		}
		who := count(len(row.Nodes), "node")
		if len(row.Nodes) == 1 {
			who = m.Nodes[row.Nodes[0]]
		}
		parts = append(parts, who+": "+reasons[0].Text)
	}
	const most = 3
	if len(parts) > most {
		parts = append(parts[:most], fmt.Sprintf("%d more kinds of refusal", len(parts)-most))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, "; ")
}

func byScore(a *Attempt) string {
	m := &a.Matrix
	ranked := Ranking(m)
	chosen := slices.IndexFunc(ranked, func(r Ranked) bool { return m.Nodes[r.Node] == a.Node })
	if chosen < 0 {
		return "it is not among the nodes that were scored"
	}
	best := ranked[chosen]
	if ranked[0].Sum > best.Sum {
		return fmt.Sprintf("it has %d points and %s %d: a scheduler extender decided, whose scores are not recorded",
			best.Sum, m.Nodes[ranked[0].Node], ranked[0].Sum)
	}
	tied := 0
	var next *Ranked
	for i := range ranked {
		switch {
		case i == chosen:
		case ranked[i].Sum == best.Sum:
			tied++
		case next == nil:
			next = &ranked[i]
		}
	}
	if tied > 0 {
		return fmt.Sprintf("it has %d points, as %s; between equals the order in which they passed the filters decides",
			best.Sum, plural(tied, "other node has", "other nodes have"))
	}
	if next == nil {
		return fmt.Sprintf("it is the only node that was scored, with %d points", best.Sum)
	}
	text := fmt.Sprintf("it has %d points, %d more than %s", best.Sum, best.Sum-next.Sum, m.Nodes[next.Node])
	if plugin, lead := widest(m, best, *next); lead > 0 {
		text += fmt.Sprintf("; %s gives it %d of them", plugin, min(lead, best.Sum-next.Sum))
		if lead > best.Sum-next.Sum {
			text = fmt.Sprintf("it has %d points, %d more than %s; %s by itself puts it %d ahead",
				best.Sum, best.Sum-next.Sum, m.Nodes[next.Node], plugin, lead)
		}
	}
	return text
}

// widest returns the plugin that puts a furthest ahead of b, and by how many points.
func widest(m *Matrix, a, b Ranked) (plugin string, lead int64) {
	for _, score := range m.Scores {
		if d := (score.Normalised[a.Column] - score.Normalised[b.Column]) * score.Weight; d > lead {
			plugin, lead = score.Plugin, d
		}
	}
	return plugin, lead
}

// sortedRows returns the rows, those with the most nodes first.
func (m *Matrix) sortedRows() []Row {
	return slices.SortedStableFunc(slices.Values(m.Rows), func(a, b Row) int { return cmp.Compare(len(b.Nodes), len(a.Nodes)) })
}

// refusals returns the reasons in a row in the order of the columns: of all refusals, or only of those that were seen.
func (m *Matrix) refusals(row Row, seenOnly bool) []Reason {
	var out []Reason
	for _, v := range row.Verdicts {
		if v.Refused() && (v.Seen || !seenOnly) {
			out = append(out, m.Reasons[v.Reason])
		}
	}
	return out
}

func count(n int, noun string) string { return plural(n, noun, noun+"s") }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
