// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"podtrail.dev/podtrail/trail/decision"
)

const (
	// singleRows is up to how many nodes each has a row of its own; of more, those with equal verdicts share one.
	singleRows = 10
	// topScores is how many nodes the scores are shown of, unless all are asked for.
	topScores = 10
	// widestLabel bounds the column of the nodes' names.
	widestLabel = 32
	// reasonRoom is how many columns must be left right of the cells for the reason to stand there.
	reasonRoom = 30
)

// table is rows of cells under plugins' names. Columns that do not fit side by side go below, with the labels again.
type table struct {
	title   string
	columns []string
	rows    []tableRow
	// last is a column that stands after all others, empty if there is none.
	last string
}

type tableRow struct {
	label  string
	cells  []string
	last   string
	reason string
	color  string
	// names stand below the row, if there are any.
	names []string
}

func (w *scheduleWriter) table(t table) {
	label := utf8.RuneCountInString(t.title)
	for _, row := range t.rows {
		label = max(label, utf8.RuneCountInString(row.label))
	}
	label = min(label, widestLabel)
	for from := 0; ; {
		to, used := t.fit(from, w.options.Width-label)
		final := to == len(t.columns)
		header := pad(t.title, label)
		for i := from; i < to; i++ {
			header += "  " + pad(t.columns[i], t.width(i))
		}
		if final && t.last != "" {
			header += "  " + t.last
		}
		w.put(w.paint.in(bold, strings.TrimRight(header, " ")))
		for _, row := range t.rows {
			w.row(t, row, label, from, to, final, used)
		}
		if final {
			return
		}
		from = to
	}
}

// fit returns how many columns from one on fit, at least one, and the columns of the screen that they take.
func (t *table) fit(from, room int) (to, used int) {
	for to = from; to < len(t.columns); to++ {
		next := used + 2 + t.width(to)
		if to == len(t.columns)-1 && t.last != "" {
			next += 2 + utf8.RuneCountInString(t.last)
		}
		if next > room && to > from {
			break
		}
		used = next
	}
	return to, used
}

func (t *table) width(column int) int {
	width := utf8.RuneCountInString(t.columns[column])
	for _, row := range t.rows {
		width = max(width, utf8.RuneCountInString(row.cells[column]))
	}
	return width
}

func (w *scheduleWriter) row(t table, row tableRow, label, from, to int, final bool, used int) {
	text := clean(row.label)
	if utf8.RuneCountInString(text) > label {
		text = string([]rune(text)[:label-1]) + "…"
	}
	text = pad(text, label)
	for i := from; i < to; i++ {
		text += "  " + pad(row.cells[i], t.width(i))
	}
	if !final {
		w.put(w.paint.in(row.color, strings.TrimRight(text, " ")))
		return
	}
	if t.last != "" {
		text += "  " + row.last
	}
	room := w.options.Width - label - used - 2
	lines := wrap(row.reason, room)
	if room < reasonRoom && row.reason != "" {
		w.put(w.paint.in(row.color, strings.TrimRight(text, " ")))
		for _, line := range wrap(row.reason, w.options.Width-4) {
			w.put(w.paint.in(dim, "    "+line))
		}
	} else {
		w.put(strings.TrimRight(w.paint.in(row.color, text)+"  "+w.paint.in(dim, lines[0]), " "))
		for _, line := range lines[1:] {
			w.put(strings.Repeat(" ", label+used+2) + w.paint.in(dim, line))
		}
	}
	w.names(row.names, 4)
}

// names writes names side by side. It does what wrap does to a text of them, in one pass: they can be thousands.
func (w *scheduleWriter) names(names []string, indent int) {
	line := strings.Repeat(" ", indent-1)
	used := indent - 1
	for _, name := range names {
		name = clean(name)
		length := utf8.RuneCountInString(name) + 1
		if used+length > w.options.Width && used >= indent {
			w.put(w.paint.in(dim, line))
			line, used = strings.Repeat(" ", indent-1), indent-1
		}
		line, used = line+" "+name, used+length
	}
	if used >= indent {
		w.put(w.paint.in(dim, line))
	}
}

// filters writes nodes by filter plugins. Only plugins that refuse a node have a column; the others are told in lines.
func (w *scheduleWriter) filters(m *decision.Matrix) {
	var columns []int
	passing, skipped, unasked := []string{}, []string{}, []string{}
	for i, filter := range m.Filters {
		switch kind := columnKind(m, i); {
		case kind == refuses:
			columns = append(columns, i)
		case filter.Skipped:
			skipped = append(skipped, filter.Plugin)
		case kind == silent:
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
		words string
		names []string
	}{
		{w.all(m) + " by ", passing}, {"not needed for this Pod: ", skipped}, {"not asked: ", unasked},
	} {
		if len(line.names) > 0 {
			w.wrapped(line.words+strings.Join(line.names, ", "), dim)
		}
	}
	if unseen(m) {
		w.wrapped("· not asked by the scheduler, evaluated afterwards on a copy of the nodes", dim)
	}
}

func (w *scheduleWriter) all(m *decision.Matrix) string {
	if len(m.Nodes) == 1 {
		return "the one node is passed"
	}
	return fmt.Sprintf("all %d nodes are passed", len(m.Nodes))
}

const (
	passes = iota
	refuses
	silent // was asked about no node
)

func columnKind(m *decision.Matrix, column int) int {
	kind := silent
	for _, row := range m.Rows {
		if column >= len(row.Verdicts) {
			continue
		}
		if _, refused := row.Verdicts[column].Refused(); refused {
			return refuses
		}
		if row.Verdicts[column] != decision.NotAsked {
			kind = passes
		}
	}
	return kind
}

// displayed are the rows to show: one for each node of a few, else those of the record.
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
	slices.SortFunc(out, func(a, b decision.Row) int { return strings.Compare(nodeName(m, a.Nodes[0]), nodeName(m, b.Nodes[0])) })
	return out
}

func (w *scheduleWriter) filterRow(m *decision.Matrix, row decision.Row, columns []int) tableRow {
	out := tableRow{label: groupLabel(m, row.Nodes), color: green}
	var seen, also []string
	for _, i := range columns {
		v := decision.NotAsked
		if i < len(row.Verdicts) {
			v = row.Verdicts[i]
		}
		out.cells = append(out.cells, cell(v))
		reason, refused := v.Refused()
		if !refused || reason >= len(m.Reasons) {
			continue
		}
		out.color = ""
		if v.Seen() {
			seen = append(seen, m.Reasons[reason].Text)
		} else {
			also = append(also, m.Reasons[reason].Text)
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
	_, refused := v.Refused()
	switch {
	case v == decision.NotAsked:
		return "·"
	case refused && v.Seen():
		return "✗"
	case refused:
		return "·✗"
	case v.Seen():
		return "✓"
	}
	return "·✓"
}

func unseen(m *decision.Matrix) bool {
	return slices.ContainsFunc(m.Rows, func(row decision.Row) bool {
		return slices.ContainsFunc(row.Verdicts, func(v decision.Verdict) bool { return v != decision.NotAsked && !v.Seen() })
	})
}

func groupLabel(m *decision.Matrix, nodes []int) string {
	if len(nodes) == 1 {
		return nodeName(m, nodes[0])
	}
	return fmt.Sprintf("%d nodes: %s …", len(nodes), nodeName(m, nodes[0]))
}

func namesOf(m *decision.Matrix, nodes []int) []string {
	names := make([]string, 0, len(nodes))
	for _, node := range nodes {
		names = append(names, nodeName(m, node))
	}
	return names
}

func nodeName(m *decision.Matrix, node int) string {
	if node < 0 || node >= len(m.Nodes) {
		return "?"
	}
	return m.Nodes[node]
}

// scores writes the best nodes by score plugins; plugins that tell no nodes apart are told in a line.
func (w *scheduleWriter) scores(a *decision.Attempted) {
	m := &a.Matrix
	ranked := decision.Ranking(m)
	if len(ranked) == 0 || len(m.Scores) == 0 {
		return
	}
	shown := ranked
	if len(ranked) > topScores && !w.options.Nodes {
		shown = ranked[:topScores]
		if i := slices.IndexFunc(ranked, func(r decision.Ranked) bool { return nodeName(m, r.Node) == a.Node }); i >= topScores {
			shown = append(slices.Clip(shown), ranked[i])
		}
	}
	t := table{title: "SCORE", last: "sum"}
	var equal []string
	var columns []decision.Score
	for _, score := range m.Scores {
		name := score.Plugin + "×" + strconv.FormatInt(score.Weight, 10)
		if len(ranked) > 1 && slices.Min(score.Normalised) == slices.Max(score.Normalised) {
			equal = append(equal, fmt.Sprintf("%s %d", name, score.Normalised[0]))
			continue
		}
		t.columns = append(t.columns, name)
		columns = append(columns, score)
	}
	for _, r := range shown {
		row := tableRow{label: nodeName(m, r.Node), last: strconv.FormatInt(r.Sum, 10)}
		if row.label == a.Node {
			row.color = green
		}
		for _, score := range columns {
			row.cells = append(row.cells, scoreCell(score, r.Column))
		}
		t.rows = append(t.rows, row)
	}
	w.put("")
	w.table(t)
	if hidden := len(ranked) - len(shown); hidden > 0 {
		w.wrapped(fmt.Sprintf("%d more nodes have fewer points or as many (--nodes shows them)", hidden), dim)
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

func scoreCell(score decision.Score, column int) string {
	normalised := strconv.FormatInt(score.Normalised[column], 10)
	if column < len(score.Raw) && score.Raw[column] != score.Normalised[column] {
		return strconv.FormatInt(score.Raw[column], 10) + " → " + normalised
	}
	return normalised
}
