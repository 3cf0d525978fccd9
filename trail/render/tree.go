// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"podtrail.dev/podtrail/trail"
)

const (
	// timesWidth is the columns of the two times and the rule after them.
	timesWidth = 18
	// stageWidth is the columns of a stage's number and name.
	stageWidth = 15
	// evidenceWidth is the columns of the evidence under -v.
	evidenceWidth = 23
	// narrowest is the fewest columns that text gets beside the evidence.
	narrowest = 36
)

// Tree writes the trail as a tree, the answer first.
func Tree(out io.Writer, t trail.Trail, options Options) error {
	options.Width = max(options.Width, 80)
	w := &treeWriter{trail: t, options: options, paint: paint(options.Color)}
	w.advised = map[trail.Missing]bool{}
	w.barWidth = max(3, (options.Width-80)/8)
	t.Walk(func(o *trail.Object) {
		for _, e := range slices.Concat(o.Created.Stages, o.Stages) {
			w.longest = max(w.longest, e.Took)
		}
	})
	w.header()
	w.put("")
	w.put(w.paint.in(dim, fmt.Sprintf("%7s %7s", "at", "took")))
	for _, root := range t.Objects {
		w.object(root, "", "")
	}
	w.footer()
	if _, err := io.WriteString(out, w.out.String()); err != nil {
		return fmt.Errorf("write tree: %w", err)
	}
	return nil
}

// treeWriter gathers the lines, so that only one write can fail.
type treeWriter struct {
	out      strings.Builder
	trail    trail.Trail
	options  Options
	paint    paint
	barWidth int
	longest  time.Duration
	// advised are the remedies that were told.
	advised map[trail.Missing]bool
}

// put adds a line.
func (w *treeWriter) put(line string) { w.out.WriteString(line + "\n") }

// row is one line of the tree.
type row struct {
	at     time.Time
	took   time.Duration
	prefix string
	// bar stands between prefix and text, on the first line only.
	bar      string
	text     string
	color    string
	evidence string
}

// line writes a row, with its continuation lines under the text.
func (w *treeWriter) line(r row, hanging int) {
	at, took := "", ""
	if !r.at.IsZero() && !w.trail.Start.IsZero() {
		at = Duration(max(0, r.at.Sub(w.trail.Start)))
		if r.at.Equal(w.trail.Start) {
			at = "0 ms"
		}
	}
	if r.took > 0 {
		took = Duration(r.took)
	}
	room := w.options.Width - timesWidth - utf8.RuneCountInString(r.prefix+r.bar) - hanging
	switch {
	case r.evidence == "":
	case room-evidenceWidth >= narrowest:
		room -= evidenceWidth
	default: // no room for a column: the evidence goes below
		r.text, r.evidence = r.text+"\n  evidence: "+r.evidence, ""
	}
	head, text := "", r.text
	if hanging > 0 {
		runes := []rune(r.text)
		head, text = string(runes[:hanging]), string(runes[hanging:])
	}
	for i, part := range wrap(text, room) {
		if i > 0 {
			at, took, head, r.evidence = "", "", strings.Repeat(" ", hanging), ""
			r.bar = strings.Repeat(" ", utf8.RuneCountInString(r.bar))
		}
		body := r.prefix + r.bar + head + part
		padding := ""
		if r.evidence != "" {
			padding = strings.Repeat(" ", max(1, w.options.Width-timesWidth-evidenceWidth-utf8.RuneCountInString(body)+1))
		}
		full := w.paint.in(dim, fmt.Sprintf("%7s %7s ┃ ", at, took)) + r.prefix + r.bar + w.paint.in(r.color, head+part) +
			padding + w.paint.in(dim, r.evidence)
		w.put(strings.TrimRight(full, " "))
	}
}

// object writes one object and what hangs below it.
func (w *treeWriter) object(o *trail.Object, branch, indent string) {
	title := o.Subject.String()
	if o.Refused() {
		title += "  refused"
	}
	if n := o.Created.Attempts; n > 1 {
		title += fmt.Sprintf(", %d times", n)
	}
	w.line(row{at: o.Start(), prefix: branch, text: title, color: bold}, 0)
	chosen := len(o.Created.Stages) < int(trail.Persist) // a part of the stages was asked for
	full := w.options.Verbose || indent == "" || o.Subject.Kind == "Pod" || len(o.Children) == 0 || chosen
	w.stages(o.Created.Stages, indent, full, o)
	if o.Refused() {
		w.line(row{prefix: indent, text: "nothing was stored; no " + o.Subject.Kind + " exists", color: red}, 0)
	}
	w.laterWrites(o, indent, false)
	w.stages(o.Stages, indent, true, o)
	w.laterWrites(o, indent, true)
	w.children(o, indent)
}

// children writes the children: under -v all, else of the Pods the one that tells most and a count of the others.
func (w *treeWriter) children(o *trail.Object, indent string) {
	shown, hidden := o.Children, []*trail.Object(nil)
	if !w.options.Verbose {
		shown, hidden = w.choose(o.Children)
	}
	for i, child := range shown {
		w.line(row{prefix: indent + "│"}, 0)
		if i == len(shown)-1 && len(hidden) == 0 {
			w.object(child, indent+"└─ ", indent+"   ")
		} else {
			w.object(child, indent+"├─ ", indent+"│  ")
		}
	}
	if len(hidden) > 0 {
		w.line(row{prefix: indent + "│"}, 0)
		w.line(row{prefix: indent + "└─ ", text: hiddenWords(hidden)}, 0)
	}
}

// choose keeps all that are no Pods, and one Pod: the slowest one, else one that failed, else the first.
func (w *treeWriter) choose(children []*trail.Object) (shown, hidden []*trail.Object) {
	var pick *trail.Object
	for _, child := range children {
		if child.Subject.Kind != "Pod" {
			continue
		}
		if pick == nil || w.tells(child) > w.tells(pick) {
			pick = child
		}
	}
	for _, child := range children {
		switch {
		case child.Subject.Kind != "Pod" || child == pick:
			shown = append(shown, child)
		default:
			hidden = append(hidden, child)
		}
	}
	return shown, hidden
}

func (w *treeWriter) tells(pod *trail.Object) int {
	slowest := w.trail.Outcome.Slowest
	switch {
	case w.trail.Outcome.Failure != nil && (pod.Refused() || pod.State != nil && pod.State.Failure != nil):
		return 3
	case slowest != nil && pod.Subject == *slowest:
		return 2
	case pod.State != nil && pod.State.Live:
		return 1
	}
	return 0
}

func hiddenWords(hidden []*trail.Object) string {
	ready, refused, gone := 0, 0, 0
	for _, pod := range hidden {
		switch {
		case pod.Refused():
			refused++
		case pod.State != nil && pod.State.Live && pod.State.Ready:
			ready++
		case pod.State == nil || !pod.State.Live:
			gone++
		}
	}
	parts := []string{}
	for _, group := range []struct {
		n    int
		word string
	}{{ready, "Ready"}, {refused, "refused"}, {gone, "no longer there"}, {len(hidden) - ready - refused - gone, "not Ready"}} {
		if group.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", group.n, group.word))
		}
	}
	noun := "Pods"
	if len(hidden) == 1 {
		noun = "Pod"
	}
	return fmt.Sprintf("%d more %s: %s (-v, or podtrail trail pod/NAME)", len(hidden), noun, strings.Join(parts, ", "))
}

// stages writes entries; not in full, stages 1 to 6 become one line.
func (w *treeWriter) stages(entries []trail.Entry, indent string, full bool, o *trail.Object) {
	if !full && o.Created.Seen() && !o.Refused() {
		text := pad("1–6", stageWidth) + "written by " + lastPart(o.Created.User)
		if o.Created.ResourceVersion != "" {
			text += ", stored as resourceVersion " + o.Created.ResourceVersion
		}
		text += " (-v to see)"
		w.line(row{took: o.Created.Took, prefix: indent, bar: w.bar(o.Created.Took), text: text}, stageWidth)
		return
	}
	for i := 0; i < len(entries); {
		same := entries[i : i+1+sameMissing(entries[i:])]
		for _, e := range same {
			if len(e.Observations) > 0 {
				w.entry(e, indent, o)
			}
		}
		if same[0].Missing != nil {
			w.missing(same[0], same[len(same)-1], indent)
		}
		i += len(same)
	}
}

// sameMissing counts the entries after the first that miss the same, and have or lack observations like it.
func sameMissing(entries []trail.Entry) int {
	first, n := entries[0], 0
	for _, e := range entries[1:] {
		if first.Missing == nil || e.Missing == nil || *e.Missing != *first.Missing || (len(e.Observations) > 0) != (len(first.Observations) > 0) {
			break
		}
		n++
	}
	return n
}

// missing says what a stage, or several one after another, have no evidence of: none at all, or none of one source.
func (w *treeWriter) missing(from, to trail.Entry, indent string) {
	name := fmt.Sprintf("%d %s", from.Stage, from.Stage)
	if to.Stage != from.Stage {
		name = fmt.Sprintf("%d–%d", from.Stage, to.Stage)
	}
	what := "no evidence: "
	if len(from.Observations) > 0 {
		what = "not whole: "
	}
	text := pad(name, stageWidth) + what + from.Missing.Why
	if !w.advised[*from.Missing] { // once is enough
		w.advised[*from.Missing] = true
		text += "\n" + from.Missing.Remedy
	}
	w.line(row{prefix: indent, bar: w.bar(0), text: text, color: dim}, stageWidth)
}

func (w *treeWriter) bar(took time.Duration) string {
	return pad(bar(took, w.longest, w.barWidth), w.barWidth) + " "
}

// entry writes one stage: a line for each thing that happened in it.
func (w *treeWriter) entry(e trail.Entry, indent string, o *trail.Object) {
	name := fmt.Sprintf("%d %s", e.Stage, e.Stage)
	r := row{at: e.At, took: e.Took, prefix: indent, bar: w.bar(e.Took)}
	for i, told := range w.told(e, o) {
		if i > 0 {
			name, r.at, r.took = "", time.Time{}, 0
			r.bar = w.bar(0)
		}
		r.text, r.evidence, r.color = pad(name, stageWidth)+told.text, "", told.color
		if w.options.Verbose {
			r.evidence = told.evidence
		}
		w.line(r, stageWidth)
	}
}

func lastPart(user string) string { return user[strings.LastIndexByte(user, ':')+1:] }
