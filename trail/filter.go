// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"slices"
	"time"
)

// Only returns the trail with the given stages alone, all if there are none, and without what happened before from,
// if that is set. Evidence that is not dated stays. The outcome and the counts stay those of the whole trail.
func (t Trail) Only(stages []Stage, from time.Time) Trail {
	if len(stages) == 0 && from.IsZero() {
		return t
	}
	keep := func(in []Entry) []Entry {
		var out []Entry
		for _, e := range in {
			if len(stages) > 0 && !slices.Contains(stages, e.Stage) {
				continue
			}
			all := len(e.Observations)
			e.Observations = slices.DeleteFunc(slices.Clone(e.Observations), func(o Observation) bool {
				return !o.Time.IsZero() && o.Time.Before(from)
			})
			if all == 0 || len(e.Observations) > 0 {
				out = append(out, e)
			}
		}
		return out
	}
	out := t
	out.Objects = nil
	for _, root := range t.Objects {
		out.Objects = append(out.Objects, root.only(keep, from))
	}
	return out
}

func (o *Object) only(keep func([]Entry) []Entry, from time.Time) *Object {
	out := *o
	out.Created.Stages, out.Stages, out.Writes, out.Children = keep(o.Created.Stages), keep(o.Stages), nil, nil
	if o.Created.Seen() && o.Created.Received.Before(from) {
		out.Created.Stages = nil
	}
	for _, w := range o.Writes {
		if w.Stages = keep(w.Stages); len(w.Stages) > 0 && (!w.Seen() || !w.Received.Before(from)) {
			out.Writes = append(out.Writes, w)
		}
	}
	for _, child := range o.Children {
		out.Children = append(out.Children, child.only(keep, from))
	}
	return &out
}
