// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// canonical sorts observations into an order that depends on their content alone, and drops those that two recorders
// saw alike and those with a time that no trail can be written with.
func canonical(observations []Observation) []Observation {
	all := make([]*Observation, 0, len(observations))
	for i := range observations {
		if o := &observations[i]; o.writable() {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *Observation) int {
		return cmp.Or(compareContents(a, b), cmp.Compare(a.Evidence.Node, b.Evidence.Node))
	})
	all = slices.CompactFunc(all, func(a, b *Observation) bool { return compareContents(a, b) == 0 })
	out := make([]Observation, len(all))
	for i, o := range all {
		out[i] = *o
	}
	return out
}

// writable says that RFC 3339, and so JSON, can write the observation's times: those of the years 0 to 9999. No cluster
// writes others.
func (o *Observation) writable() bool {
	ok := writable(o.Time)
	if o.Request != nil {
		ok = ok && writable(o.Request.Received)
	}
	if o.State != nil {
		ok = ok && writable(o.State.ReadyAt)
	}
	return ok
}

func writable(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

// compareContents compares all of two observations but who saw it; 0 means that they say the same. What tells most apart is
// compared first, and the rest, as JSON, only of those that are alike so far.
func compareContents(a, b *Observation) int {
	if c := compareSubjects(&a.Subject, &b.Subject); c != 0 {
		return c
	}
	if c := cmp.Or(cmp.Compare(a.Stage, b.Stage), a.Time.Compare(b.Time), cmp.Compare(a.Duration, b.Duration)); c != 0 {
		return c
	}
	if c := cmp.Or(cmp.Compare(a.Evidence.Source, b.Evidence.Source), cmp.Compare(a.Evidence.ID, b.Evidence.ID)); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Summary, b.Summary); c != 0 {
		return c
	}
	return cmp.Compare(a.text(), b.text())
}

func compareSubjects(a, b *Subject) int {
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID),
	)
}

// text is all of the observation but who saw it.
func (o *Observation) text() string {
	seen := *o
	seen.Evidence.Node = ""
	out, _ := json.Marshal(struct { // of what is writable nothing can fail to be encoded
		Observation
		Request *Request
		Owner   *Subject
		State   *State
	}{seen, o.Request, o.Owner, o.State})
	return string(out)
}
