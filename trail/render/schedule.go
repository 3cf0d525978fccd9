// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"podtrail.dev/podtrail/trail/decision"
)

// ScheduleOptions are how decisions are written for people.
type ScheduleOptions struct {
	// Width is the number of columns; below 80 counts as 80.
	Width int
	Color bool
	// Nodes adds the name of each node in a group, and the scores of each scored node.
	Nodes bool
	// All writes each attempt in full, not only the last one.
	All bool
	// Now is the time from which the rest of a hold is counted.
	Now time.Time
}

// Schedule writes what was decided about a Pod, the answer first. A history without an attempt is an error.
func Schedule(out io.Writer, h decision.History, options ScheduleOptions) error {
	if len(h.Attempts) == 0 {
		return fmt.Errorf("write decisions: no attempt of Pod %s/%s is recorded", h.Pod.Namespace, h.Pod.Name)
	}
	options.Width = max(options.Width, 80)
	w := &scheduleWriter{options: options, paint: paint(options.Color)}
	last := &h.Attempts[len(h.Attempts)-1]
	w.answer(h, last)
	for i := range h.Attempts {
		a := &h.Attempts[i]
		w.put("")
		w.heading(a)
		if a == last || options.All {
			w.attempt(a)
		} else {
			w.wrapped("  "+decision.Summary(&a.Attempt), dim)
		}
		for _, v := range a.Victims {
			w.wrapped(describeVictim(v), "")
		}
	}
	for _, move := range h.Moves {
		w.wrapped(move.Time.UTC().Format("15:04:05.000")+" "+decision.DescribeMove(&move.Move)+"; it is tried again after its backoff", "")
	}
	w.put("")
	w.next(h, last)
	if _, err := io.WriteString(out, w.out.String()); err != nil {
		return fmt.Errorf("write decisions: %w", err)
	}
	return nil
}

// scheduleWriter collects the lines, so that only one write can fail.
type scheduleWriter struct {
	out     strings.Builder
	options ScheduleOptions
	paint   paint
}

func (w *scheduleWriter) put(line string) { w.out.WriteString(line + "\n") }

func (w *scheduleWriter) wrapped(text, attribute string) {
	for _, line := range wrap(text, w.options.Width) {
		w.put(w.paint.in(attribute, line))
	}
}

// answer writes what became of the Pod.
func (w *scheduleWriter) answer(h decision.History, last *decision.Attempted) {
	attempts := "1 attempt"
	if last.Number > 1 {
		attempts = fmt.Sprintf("%d attempts", last.Number)
	}
	times := precise(last.Took) + " deciding"
	if !last.FirstQueued.IsZero() {
		times = precise(max(0, last.Time.Sub(last.FirstQueued))) + " in the queue, " + times
	}
	switch state := stateOf(last, w.options.Now); state {
	case held:
		w.wrapped(fmt.Sprintf("%s → %s, held in Permit for %s more", h.Pod.Name, last.Node,
			last.Hold.Until.Sub(w.options.Now).Round(time.Second)), bold)
	case binding:
		w.wrapped(fmt.Sprintf("%s → %s, being bound", h.Pod.Name, last.Node), bold)
	case bound:
		w.wrapped(fmt.Sprintf("%s → %s after %s; %s", h.Pod.Name, last.Node, attempts, times), bold)
	default:
		message := last.Message
		if last.Binding != nil {
			message = "the binding to " + last.Node + " failed: " + last.Binding.Message
		}
		w.wrapped(fmt.Sprintf("%s is on no node after %s: %s", h.Pod.Name, attempts, message), bold)
	}
}

type state int

const (
	unplaced state = iota
	held
	binding
	bound
)

// stateOf returns how far the last attempt got. A hold ends by itself when its time is up.
func stateOf(a *decision.Attempted, now time.Time) state {
	switch {
	case a.Outcome != decision.Placed:
		return unplaced
	case a.Binding != nil && a.Binding.Outcome == decision.Bound:
		return bound
	case a.Binding != nil:
		return unplaced
	case a.Hold != nil && a.Hold.Until.After(now):
		return held
	}
	return binding
}

func (w *scheduleWriter) heading(a *decision.Attempted) {
	text := fmt.Sprintf("attempt %d at %s", a.Number, a.Time.UTC().Format("15:04:05.000"))
	switch {
	case a.Woken != nil:
		text += ", " + decision.DescribeMove(&a.Woken.Move)
	case a.Flushed:
		text += ", by the periodic flush: no event had woken the Pod"
	}
	w.wrapped(text, bold)
}

// attempt writes one attempt in full.
func (w *scheduleWriter) attempt(a *decision.Attempted) {
	m := &a.Matrix
	if a.BatchHint != "" {
		w.wrapped(describeHint(a), "")
	}
	if len(m.Nodes) == 0 {
		w.wrapped("no nodes were considered: "+a.Message, "")
		return
	}
	if looked := m.Looked(); looked < len(m.Nodes) {
		w.wrapped(fmt.Sprintf("the scheduler looked at %d of %d nodes", looked, len(m.Nodes)), "")
	}
	w.filters(m)
	w.scores(a)
	w.put("")
	if p := a.Preemption; p != nil {
		w.wrapped(describePreemption(p), "")
	}
	if a.Hold != nil && a.Hold.Problem != "" {
		w.wrapped(a.Hold.Problem, red)
	}
	w.wrapped(describeSteps(a), dim)
	w.evaluation(&a.Evaluation)
	if why := decision.Why(&a.Attempt); why != "" {
		w.wrapped("why "+a.Node+": "+why, "")
	} else {
		w.fixes(m)
	}
}

func describeHint(a *decision.Attempted) string {
	if a.BatchHint == a.Node {
		return "the node came from a batch hint: " + a.BatchHint
	}
	return "a batch hint offered " + a.BatchHint + ", which did not fit"
}

func describePreemption(p *decision.Preemption) string {
	if p.Node != "" {
		return "preemption: node " + p.Node + " is nominated, and Pods on it are evicted"
	}
	return "preemption does not help: " + p.Message
}

func describeVictim(v decision.Victim) string {
	return "  " + decision.DescribeVictim(&v)
}

func (w *scheduleWriter) evaluation(e *decision.Evaluation) {
	switch {
	case !e.Done:
		w.wrapped("nothing was evaluated afterwards: "+e.Why, dim)
	case e.Differences > 0:
		w.wrapped(fmt.Sprintf("%d evaluated verdicts and scores differ from those that were seen, because something had changed (%s); those that were seen are shown",
			e.Differences, e.Example), red)
	}
}

// describeSteps returns the extension points with their times.
func describeSteps(a *decision.Attempted) string {
	steps := a.Steps
	if a.Binding != nil {
		steps = append(steps[:len(steps):len(steps)], a.Binding.Steps...)
	}
	parts := make([]string, 0, len(steps))
	for _, s := range steps {
		text := s.Name + " " + precise(s.Took)
		if s.Status != "" {
			text += " (" + s.Status + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " · ")
}

// maxFixes bounds how many fixes are proposed without --nodes.
const maxFixes = 5

// fixes writes what must change, the cheapest fix first.
func (w *scheduleWriter) fixes(m *decision.Matrix) {
	fixes := decision.Fixes(m)
	if len(fixes) == 0 {
		return
	}
	w.wrapped("for the Pod to fit, the cheapest change first:", bold)
	for i, f := range fixes {
		if i == maxFixes && !w.options.Nodes {
			w.wrapped(fmt.Sprintf("  and %d more (--nodes shows them)", len(fixes)-i), dim)
			return
		}
		atLeast := ""
		if !f.Sure {
			atLeast = " (at least: not every plugin was asked)"
		}
		w.wrapped(fmt.Sprintf("%3d. %s%s", i+1, groupLabel(m, f.Nodes), atLeast), "")
		for _, r := range f.Refusals {
			w.wrapped(fmt.Sprintf("       %s: %s — %s", r.Plugin, r.Reason, r.Remedy), "")
		}
		if w.options.Nodes && len(f.Nodes) > 1 {
			w.names(namesOf(m, f.Nodes), 7)
		}
	}
}

func (w *scheduleWriter) next(h decision.History, last *decision.Attempted) {
	reference := "pod/" + h.Pod.Name + " -n " + h.Pod.Namespace
	switch stateOf(last, w.options.Now) {
	case held:
		w.put("next: podtrail continue " + reference)
	case unplaced:
		w.put("next: change one of these, then podtrail schedule " + reference)
	default:
		w.put("next: podtrail trail " + reference)
	}
}

// precise formats short durations more precisely than Duration: a decision takes microseconds.
func precise(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return Duration(d)
}
