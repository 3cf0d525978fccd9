// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"podtrail.dev/podtrail/trail"
)

// Side is one of two trails that are compared.
type Side struct {
	Name  string
	Trail trail.Trail
}

// Diff writes what differs between two Pods' trails: the time of each stage, then of each stage the lines that only
// one of them has. Of a workload it compares the Pod that was Ready last, else the one that tells why not.
func Diff(out io.Writer, a, b Side, options Options) error {
	options.Width = max(options.Width, 80)
	w := &treeWriter{options: options, paint: paint(options.Color)}
	left, right := lay(a), lay(b)
	w.put(w.paint.in(bold, "A") + "  " + left.title())
	w.put(w.paint.in(bold, "B") + "  " + right.title())
	w.put("")
	w.put(w.paint.in(dim, fmt.Sprintf("%-16s%10s%10s%12s", "stage", "A", "B", "B against A")))
	for stage := trail.Submit; stage <= trail.Heal; stage++ {
		if left.lines[stage] == nil && right.lines[stage] == nil {
			continue
		}
		w.put(fmt.Sprintf("%-16s%10s%10s%12s", fmt.Sprintf("%d %s", stage, stage),
			left.tookWords(stage), right.tookWords(stage), difference(left.took[stage], right.took[stage])))
	}
	w.put(fmt.Sprintf("%-16s%10s%10s%12s", "all", tookWords(left.whole()), tookWords(right.whole()), difference(left.whole(), right.whole())))
	same := true
	for stage := trail.Submit; stage <= trail.Heal; stage++ {
		onlyA, onlyB := apart(left.lines[stage], right.lines[stage])
		if len(onlyA)+len(onlyB) == 0 {
			continue
		}
		same = false
		w.put("")
		w.put(w.paint.in(bold, fmt.Sprintf("%d %s", stage, stage)))
		w.only("A", red, onlyA)
		w.only("B", green, onlyB)
	}
	if same {
		w.put("")
		w.put("The same happened at every stage.")
	}
	if _, err := io.WriteString(out, w.out.String()); err != nil {
		return fmt.Errorf("write difference: %w", err)
	}
	return nil
}

// only writes the lines that one side alone has.
func (w *treeWriter) only(side, color string, lines []string) {
	for _, line := range lines {
		for i, part := range wrap(line, w.options.Width-5) {
			mark := "   "
			if i == 0 {
				mark = side + ": "
			}
			w.put("  " + w.paint.in(color, mark+part))
		}
	}
}

// laid is one side, by stage.
type laid struct {
	side  Side
	pod   *trail.Object
	took  map[trail.Stage]time.Duration
	lines map[trail.Stage][]string
}

// lay gathers what one side has of each stage, from the Pod and, for Reconcile, from its owner.
func lay(side Side) laid {
	out := laid{side: side, pod: Telling(side.Trail), took: map[trail.Stage]time.Duration{}, lines: map[trail.Stage][]string{}}
	if out.pod == nil {
		return out
	}
	focused, ok := side.Trail.Focus(out.pod.Subject)
	if !ok { // a Pod of the trail itself
		focused = side.Trail
	}
	for _, segment := range focused.Timeline {
		out.took[segment.Stage] += segment.Took
	}
	w := &treeWriter{trail: focused}
	focused.Walk(func(o *trail.Object) {
		entries := slices.Concat(o.Created.Stages, o.Stages)
		for _, e := range entries {
			if e.Missing != nil || o.Subject != out.pod.Subject && e.Stage != trail.Reconcile {
				continue
			}
			for _, told := range w.told(e, o) {
				out.lines[e.Stage] = append(out.lines[e.Stage], strings.Split(told.text, "\n")...)
			}
		}
	})
	return out
}

// Telling is the Pod that tells most of a trail: its own, else the slowest, else one that failed, else the first; nil
// if there is no Pod.
func Telling(t trail.Trail) *trail.Object {
	w := &treeWriter{trail: t}
	var pick *trail.Object
	t.Walk(func(o *trail.Object) {
		switch {
		case o.Subject.Kind != "Pod":
		case pick == nil, o.Subject == t.Subject, w.tells(o) > w.tells(pick):
			pick = o
		}
	})
	return pick
}

func (l laid) title() string {
	if l.pod == nil {
		return l.side.Name + ": no Pod"
	}
	return l.side.Name + ": " + l.pod.Subject.String() + ", " + Answer(l.side.Trail)
}

func (l laid) whole() time.Duration {
	var sum time.Duration
	for _, took := range l.took {
		sum += took
	}
	return sum
}

func (l laid) tookWords(stage trail.Stage) string {
	if l.lines[stage] == nil {
		return "not seen"
	}
	return tookWords(l.took[stage])
}

func tookWords(took time.Duration) string {
	if took == 0 {
		return "-"
	}
	return Duration(took)
}

func difference(a, b time.Duration) string {
	switch {
	case a == 0 || b == 0:
		return "-"
	case (b - a).Abs() < time.Millisecond:
		return "the same"
	case b > a:
		return "+" + Duration(b-a)
	}
	return "-" + Duration(a-b)
}

// anew matches what differs between any two runs: times and durations, addresses, resourceVersions, ids, the random
// end of a name.
var anew = regexp.MustCompile(`\d\d:\d\d:\d\d|\d[\d.]*\s?(ms|µs|s|min|h)\b|\d+\.\d+\.\d+\.\d+|resourceVersion \d+|\b[0-9a-f]{8}…|` +
	`-[a-z0-9]{8,10}-[a-z0-9]{5}\b|-[bcdfghjklmnpqrstvwxz2456789]{5}\b|veth[0-9a-f]+`)

// apart returns the lines that only one side has, where names, times and ids that every run makes anew count as the
// same.
func apart(a, b []string) (onlyA, onlyB []string) {
	left, right := map[string]bool{}, map[string]bool{}
	for _, line := range a {
		left[anew.ReplaceAllString(line, "…")] = true
	}
	for _, line := range b {
		right[anew.ReplaceAllString(line, "…")] = true
	}
	for _, line := range a {
		if !right[anew.ReplaceAllString(line, "…")] {
			onlyA = append(onlyA, line)
		}
	}
	for _, line := range b {
		if !left[anew.ReplaceAllString(line, "…")] {
			onlyB = append(onlyB, line)
		}
	}
	return onlyA, onlyB
}
