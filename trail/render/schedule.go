// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"podtrail.dev/podtrail/trail/decision"
)

// ScheduleOptions say how decisions are written for people.
type ScheduleOptions struct {
	// Width is the number of columns; below 80 counts as 80.
	Width int
	Color bool
	// Nodes writes every node's name, and every scored node.
	Nodes bool
	// All writes every attempt in full, not only the last.
	All bool
	// Now is what the time that is left of a hold counts from.
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
			w.wrapped(victimWords(v), "")
		}
	}
	for _, move := range h.Moves {
		w.wrapped(move.Time.UTC().Format("15:04:05.000")+" "+decision.MoveWords(&move.Move)+"; it is tried again after its backoff", "")
	}
	w.put("")
	w.next(h, last)
	if _, err := io.WriteString(out, w.out.String()); err != nil {
		return fmt.Errorf("write decisions: %w", err)
	}
	return nil
}

// scheduleWriter gathers the lines, so that only one write can fail.
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

// answer says what became of the Pod.
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

// stateOf says how far the last attempt came. A hold whose time is up goes on by itself.
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
		text += ", " + decision.MoveWords(&a.Woken.Move)
	case a.Flushed:
		text += ", because no event woke the Pod for so long"
	}
	w.wrapped(text, bold)
}

// attempt writes one attempt in full.
func (w *scheduleWriter) attempt(a *decision.Attempted) {
	m := &a.Matrix
	if a.BatchHint != "" {
		w.wrapped(hintWords(a), "")
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
		w.wrapped(preemptionWords(p), "")
	}
	if a.Hold != nil && a.Hold.Problem != "" {
		w.wrapped(a.Hold.Problem, red)
	}
	w.wrapped(stepWords(a), dim)
	w.evaluation(&a.Evaluation)
	if why := decision.Why(&a.Attempt); why != "" {
		w.wrapped("why "+a.Node+": "+why, "")
	} else {
		w.changes(m)
	}
}

func hintWords(a *decision.Attempted) string {
	if a.BatchHint == a.Node {
		return "the node came from a batch hint: " + a.BatchHint
	}
	return "a batch hint offered " + a.BatchHint + ", which did not fit"
}

func preemptionWords(p *decision.Preemption) string {
	if p.Node != "" {
		return "preemption: node " + p.Node + " is nominated and made free"
	}
	return "preemption does not help: " + p.Message
}

func victimWords(v decision.Victim) string {
	text := fmt.Sprintf("  preempts Pod %s/%s on %s", v.Pod.Namespace, v.Pod.Name, v.Node)
	if v.Error != "" {
		text += ", in vain: " + v.Error
	}
	return text
}

func (w *scheduleWriter) evaluation(e *decision.Evaluation) {
	switch {
	case !e.Done:
		w.wrapped("nothing was evaluated afterwards: "+e.Why, dim)
	case e.Differences > 0:
		w.wrapped(fmt.Sprintf("%d of what was evaluated differs from what was seen, because something had changed (%s); what was seen is shown",
			e.Differences, e.Example), red)
	}
}

// stepWords are the extension points with their times.
func stepWords(a *decision.Attempted) string {
	steps := a.Steps
	if a.Binding != nil {
		steps = append(steps[:len(steps):len(steps)], a.Binding.Steps...)
	}
	words := make([]string, 0, len(steps))
	for _, s := range steps {
		text := s.Name + " " + precise(s.Took)
		if s.Status != "" {
			text += " (" + s.Status + ")"
		}
		words = append(words, text)
	}
	return strings.Join(words, " · ")
}

// mostChanges bounds how many changes are proposed, unless all is asked for.
const mostChanges = 5

// changes says what would have to change, the cheapest first.
func (w *scheduleWriter) changes(m *decision.Matrix) {
	changes := decision.Changes(m)
	if len(changes) == 0 {
		return
	}
	w.wrapped("for the Pod to fit, the cheapest change first:", bold)
	for i, c := range changes {
		if i == mostChanges && !w.options.Nodes {
			w.wrapped(fmt.Sprintf("  and %d more (--nodes shows them)", len(changes)-i), dim)
			return
		}
		atLeast := ""
		if !c.Sure {
			atLeast = " (at least: not every plugin was asked)"
		}
		w.wrapped(fmt.Sprintf("%3d. %s%s", i+1, groupLabel(m, c.Nodes), atLeast), "")
		for _, lack := range c.Lacks {
			w.wrapped(fmt.Sprintf("       %s: %s — %s", lack.Plugin, lack.Reason, lack.Remedy), "")
		}
		if w.options.Nodes && len(c.Nodes) > 1 {
			w.names(namesOf(m, c.Nodes), 7)
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

// precise writes short durations finer than Duration does: a decision takes microseconds.
func precise(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return Duration(d)
}
