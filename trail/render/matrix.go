// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strings"

	"podtrail.dev/podtrail/trail/decision"
)

// singleRows is the largest number of nodes that have a row each. Of more nodes, those with equal verdicts share a row.
const singleRows = 10

// filters writes the verdicts. Only plugins that refuse a node have a column; the others are listed below.
func (w *scheduleWriter) filters(m *decision.Matrix) {
	var columns []int
	passing, skipped, unasked := []string{}, []string{}, []string{}
	for i, filter := range m.Filters {
		switch answer := columnAnswer(m, i); {
		case answer == decision.Refuses:
			columns = append(columns, i)
		case filter.Skipped:
			skipped = append(skipped, filter.Plugin)
		case answer == decision.NotAsked:
			unasked = append(unasked, filter.Plugin)
		default:
			passing = append(passing, filter.Plugin)
		}
	}
	if len(columns) > 0 {
		t := table{title: "FILTER"}
		for _, i := range columns {
			t.columns = append(t.columns, m.Filters[i].Plugin)
		}
		for _, row := range displayed(m) {
			t.rows = append(t.rows, w.filterRow(m, row, columns))
		}
		w.table(t)
	}
	for _, line := range []struct {
		text  string
		names []string
	}{
		{allNodes(m) + " by ", passing}, {"not needed for this Pod: ", skipped}, {"not asked: ", unasked},
	} {
		if len(line.names) > 0 {
			w.wrapped(line.text+strings.Join(line.names, ", "), dim)
		}
	}
	if unseen(m) {
		w.wrapped("· not asked by the scheduler, evaluated afterwards on a copy of the nodes", dim)
	}
}

func allNodes(m *decision.Matrix) string {
	if len(m.Nodes) == 1 {
		return "the one node is passed"
	}
	return fmt.Sprintf("all %d nodes are passed", len(m.Nodes))
}

// columnAnswer returns Refuses if the plugin refuses a node, NotAsked if it was asked about none, and otherwise Passes.
func columnAnswer(m *decision.Matrix, column int) decision.Answer {
	answer := decision.NotAsked
	for _, row := range m.Rows {
		switch row.Verdicts[column].Answer {
		case decision.Refuses:
			return decision.Refuses
		case decision.Passes:
			answer = decision.Passes
		}
	}
	return answer
}

// displayed returns the rows to show: one for each node if there are few, otherwise those of the record.
func displayed(m *decision.Matrix) []decision.Row {
	if len(m.Nodes) > singleRows {
		return slices.SortedStableFunc(slices.Values(m.Rows), func(a, b decision.Row) int { return len(b.Nodes) - len(a.Nodes) })
	}
	var out []decision.Row
	for _, row := range m.Rows {
		for _, node := range row.Nodes {
			out = append(out, decision.Row{Nodes: []int{node}, Looked: row.Looked, Verdicts: row.Verdicts})
		}
	}
	slices.SortFunc(out, func(a, b decision.Row) int { return strings.Compare(m.Nodes[a.Nodes[0]], m.Nodes[b.Nodes[0]]) })
	return out
}

func (w *scheduleWriter) filterRow(m *decision.Matrix, row decision.Row, columns []int) tableRow {
	out := tableRow{label: groupLabel(m, row.Nodes), color: green}
	var seen, also []string
	for _, i := range columns {
		v := row.Verdicts[i]
		out.cells = append(out.cells, cell(v))
		if !v.Refused() {
			continue
		}
		out.color = ""
		if v.Seen {
			seen = append(seen, m.Reasons[v.Reason].Text)
		} else {
			also = append(also, m.Reasons[v.Reason].Text)
		}
	}
	if !row.Looked && len(seen) == 0 {
		out.color = ""
		seen = append(seen, "never looked at")
	}
	out.reason = strings.Join(seen, "; ")
	if len(also) > 0 {
		out.reason += " (·also: " + strings.Join(also, "; ") + ")"
	}
	if w.options.Nodes && len(row.Nodes) > 1 {
		out.names = namesOf(m, row.Nodes)
	}
	return out
}

func cell(v decision.Verdict) string {
	switch {
	case !v.Asked():
		return "·"
	case v.Refused() && v.Seen:
		return "✗"
	case v.Refused():
		return "·✗"
	case v.Seen:
		return "✓"
	}
	return "·✓"
}

func unseen(m *decision.Matrix) bool {
	return slices.ContainsFunc(m.Rows, func(row decision.Row) bool {
		return slices.ContainsFunc(row.Verdicts, func(v decision.Verdict) bool { return v.Asked() && !v.Seen })
	})
}

func groupLabel(m *decision.Matrix, nodes []int) string {
	if len(nodes) == 1 {
		return m.Nodes[nodes[0]]
	}
	return fmt.Sprintf("%d nodes: %s …", len(nodes), m.Nodes[nodes[0]])
}

func namesOf(m *decision.Matrix, nodes []int) []string {
	names := make([]string, 0, len(nodes))
	for _, node := range nodes {
		names = append(names, m.Nodes[node])
	}
	return names
}
