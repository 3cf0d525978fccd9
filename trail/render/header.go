// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"podtrail.dev/podtrail/trail"
)

// Reference writes a subject as an argument of the command: deployment/nginx.
func Reference(s trail.Subject) string { return strings.ToLower(s.Kind) + "/" + s.Name }

// Answer says in one line what became of the subject.
func Answer(t trail.Trail) string {
	out := t.Outcome
	switch out.Result {
	case trail.Refused:
		return fmt.Sprintf("refused at %d %s after %s", out.Stage, out.Stage, Duration(out.Took))
	case trail.Gone:
		return "deleted; what follows is what was recorded of it"
	case trail.Unknown:
		return "not in the API any more, or not readable; what follows is what was recorded of it"
	}
	answer := readyWords(t)
	switch out.Result {
	case trail.Failed:
		answer = fmt.Sprintf("%s; failed at %d %s: %s", answer, out.Stage, out.Stage, cause(out.Failure))
	case trail.Waiting:
		answer = fmt.Sprintf("%s; not Ready yet, at %d %s", answer, out.Stage, out.Stage)
	}
	return strings.TrimPrefix(answer, "; ")
}

// cause is the reason, or the message where the reason says nothing: of a container that ended it is "Error".
func cause(failure *trail.Failure) string {
	if first, _, _ := strings.Cut(failure.Message, "\n"); failure.Reason == "Error" && first != "" {
		return first
	}
	return failure.Reason
}

// readyWords says how many Pods are Ready; of a Pod that is not, nothing.
func readyWords(t trail.Trail) string {
	out := t.Outcome
	took := ""
	if out.Took > 0 {
		took = " in " + Duration(out.Took)
	}
	switch isPod := t.Subject.Kind == "Pod"; {
	case isPod && out.Result == trail.Ready && out.Ready == 0:
		return "completed"
	case isPod && out.Result == trail.Ready:
		return "Ready" + took
	case isPod:
		return ""
	case out.Result == trail.Ready && out.Desired == 0:
		return "asks for 0 Pods and has none"
	}
	return fmt.Sprintf("%d of %d Pods Ready%s", out.Ready, out.Desired, took)
}

// header answers first, and counts the evidence.
func (w *treeWriter) header() {
	t := w.trail
	mark, color := "✓", green
	switch t.Outcome.Result {
	case trail.Refused, trail.Failed:
		mark, color = "✗", red
	case trail.Waiting, trail.Gone, trail.Unknown:
		mark, color = "·", bold
	}
	name, answer := Reference(t.Subject), Answer(t)
	counts := fmt.Sprintf("%d facts observed, %d inferred", t.Observed, t.Inferred)
	used := utf8.RuneCountInString(mark + " " + name + "  " + answer)
	first := w.paint.in(color, mark) + " " + w.paint.in(bold, name) + "  " + w.paint.in(color, answer)
	counts, gap := w.paint.in(dim, counts), w.options.Width-used-len(counts)
	switch {
	case gap >= 2:
		w.put(first + strings.Repeat(" ", gap) + counts)
	case used <= w.options.Width:
		w.put(first)
		w.put(counts)
	default:
		w.put(w.paint.in(color, mark) + " " + w.paint.in(bold, name))
		w.lines(answer)
		w.put(counts)
	}
	w.slowest()
}

// slowest names the Pod that was Ready last, and how much of its time went to which stage.
func (w *treeWriter) slowest() {
	slowest := w.trail.Outcome.Slowest
	if slowest == nil {
		return
	}
	pod := w.trail.Find(*slowest)
	if pod == nil {
		return
	}
	var parts []string
	for _, e := range pod.Stages {
		if e.Took > 0 {
			parts = append(parts, fmt.Sprintf("%s in %d %s", Duration(e.Took), e.Stage, e.Stage))
		}
	}
	if len(parts) == 0 {
		return
	}
	if w.trail.Subject.Kind != "Pod" {
		w.lines("slowest: " + slowest.Name + ", " + strings.Join(parts, ", "))
		return
	}
	w.lines(strings.Join(parts, ", "))
}

// lines writes a text within the width.
func (w *treeWriter) lines(text string) {
	for _, line := range wrap(text, w.options.Width) {
		w.put(line)
	}
}

// footer says where nothing was seen to happen, what could not be read, and what to try next.
func (w *treeWriter) footer() {
	w.put("")
	for _, gap := range w.trail.Gaps {
		w.lines(fmt.Sprintf("gap: %s between %s and %s", Duration(gap.Took), gap.After, gap.Before))
	}
	for _, problem := range w.options.Problems {
		for _, line := range wrap("missing: "+problem.What, w.options.Width) {
			w.put(w.paint.in(red, line))
		}
		w.lines("next:    " + problem.Next)
	}
	if len(w.options.Problems) > 0 {
		return
	}
	command := "podtrail trail " + Reference(w.trail.Subject)
	if w.trail.Subject.Namespace != "" {
		command += " -n " + w.trail.Subject.Namespace
	}
	if w.options.Verbose {
		w.put("next: " + command + " -o yaml")
		return
	}
	w.put("next: " + command + " -v")
}

// laterWrites tells the writes after the creating one: those by people before the stages that follow from them, and
// a count of the others after. Under -v each with its own stages.
func (w *treeWriter) laterWrites(o *trail.Object, indent string, bySystem bool) {
	parts, unknown := 0, 0
	for _, write := range o.Writes {
		if (trail.IsSystem(write.User) || !write.Seen()) != bySystem {
			continue
		}
		switch {
		case !bySystem || w.options.Verbose:
			w.write(o, write, indent)
		case !write.Seen():
			unknown++
		case o.Subject.Kind != "Pod" || write.Subresource == "":
			parts++ // what schedulers and kubelets write to Pods is told as stages Schedule and Run
		}
	}
	w.count(parts, "1 later write by a part of the cluster", "%d later writes by parts of the cluster", indent)
	w.count(unknown, "1 later revision in etcd that no identity ties to its request", "%d later revisions in etcd that no identity ties to their requests", indent)
}

// count tells how many writes are not shown.
func (w *treeWriter) count(n int, one, many, indent string) {
	text := one
	switch {
	case n == 0:
		return
	case n > 1:
		text = fmt.Sprintf(many, n)
	}
	w.line(row{prefix: indent, bar: w.bar(0), text: text + " (-v to see)", color: dim}, 0)
}

// write tells one write after the creating one.
func (w *treeWriter) write(o *trail.Object, write trail.Write, indent string) {
	text := fmt.Sprintf("write: %s %s by %s", write.Verb, what(o, write), lastPart(write.User))
	if !write.Seen() {
		text = "write: " + what(o, write) + " by a request that no identity ties to it"
	}
	if write.ResourceVersion != "" {
		text += ", resourceVersion " + write.ResourceVersion
	}
	r := row{at: write.Received, took: write.Took, prefix: indent, bar: w.bar(write.Took), text: text, color: bold}
	if failed := write.Failed(); failed != nil {
		r.text += fmt.Sprintf("\n✗ %d %s: %s", failed.Stage, failed.Stage, failureWords(*failed.Failure()))
		r.color = red
	}
	w.line(r, 0)
	if w.options.Verbose {
		w.stages(write.Stages, indent+"   ", true, &trail.Object{Created: write})
	}
}

// what names the part of the object that a write changed.
func what(o *trail.Object, write trail.Write) string {
	if write.Subresource == "" {
		return Reference(o.Subject)
	}
	return Reference(o.Subject) + "/" + write.Subresource
}
