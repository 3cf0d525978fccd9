// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"
	"unicode/utf8"
)

const (
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
