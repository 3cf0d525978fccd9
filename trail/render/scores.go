// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"podtrail.dev/podtrail/trail/decision"
)

// topScores is the number of nodes whose scores are shown without --nodes.
const topScores = 10

// scores writes the scores of the best nodes. Plugins that give all nodes the same score are listed below.
func (w *scheduleWriter) scores(a *decision.Attempted) {
	m := &a.Matrix
	ranked := decision.Ranking(m)
	if len(ranked) == 0 || len(m.Scores) == 0 {
		return
	}
	t := table{title: "SCORE", last: "sum"}
	differing, equal := splitScores(m)
	for _, score := range differing {
		t.columns = append(t.columns, weighted(score))
	}
	shown := w.shown(a, ranked)
	for _, r := range shown {
		row := tableRow{label: m.Nodes[r.Node], last: strconv.FormatInt(r.Sum, 10)}
		if row.label == a.Node {
			row.color = green
		}
		for _, score := range differing {
			row.cells = append(row.cells, scoreCell(score, r.Column))
		}
		t.rows = append(t.rows, row)
	}
	w.put("")
	w.table(t)
	if hidden := len(ranked) - len(shown); hidden > 0 {
		w.wrapped(fmt.Sprintf("%d more nodes score the same or lower (--nodes shows them)", hidden), dim)
	}
	if len(equal) > 0 {
		w.wrapped("the same on every node: "+strings.Join(equal, ", "), dim)
	}
	switch {
	case !m.ScoresSeen:
		w.wrapped("evaluated afterwards: the scheduler needed no scores", dim)
	case len(m.Scores[0].Raw) > 0:
		w.wrapped("raw → normalised; the raw ones were evaluated afterwards", dim)
	}
}

// splitScores returns the plugins whose scores differ between nodes, and the names and scores of the others. All differ if
// there is only one node.
func splitScores(m *decision.Matrix) (differing []decision.Score, equal []string) {
	for _, score := range m.Scores {
		if len(m.Scored) > 1 && slices.Min(score.Normalised) == slices.Max(score.Normalised) {
			equal = append(equal, fmt.Sprintf("%s %d", weighted(score), score.Normalised[0]))
		} else {
			differing = append(differing, score)
		}
	}
	return differing, equal
}

// shown returns the best nodes and the chosen one.
func (w *scheduleWriter) shown(a *decision.Attempted, ranked []decision.Ranked) []decision.Ranked {
	if len(ranked) <= topScores || w.options.Nodes {
		return ranked
	}
	shown := slices.Clip(ranked[:topScores])
	i := slices.IndexFunc(ranked, func(r decision.Ranked) bool { return a.Matrix.Nodes[r.Node] == a.Node })
	if i >= topScores {
		shown = append(shown, ranked[i])
	}
	return shown
}

func weighted(score decision.Score) string {
	return score.Plugin + "×" + strconv.FormatInt(score.Weight, 10)
}

func scoreCell(score decision.Score, column int) string {
	normalised := strconv.FormatInt(score.Normalised[column], 10)
	if column < len(score.Raw) && score.Raw[column] != score.Normalised[column] {
		return strconv.FormatInt(score.Raw[column], 10) + " → " + normalised
	}
	return normalised
}
