// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"cmp"
	"strings"
)

// IsSystem says whether a user is a part of the cluster and not a person or a pipeline.
func IsSystem(user string) bool { return strings.HasPrefix(user, "system:") }

// Find returns the object of that kind, namespace and name that is meant: the living one, else the newest attempt to
// make one, stored or refused; nil if there is none. A UID in the reference picks exactly that object.
func (t Trail) Find(ref Subject) *Object {
	var best *Object
	t.Walk(func(o *Object) {
		if ref.UID != "" && o.Subject.UID != ref.UID || o.Subject.named() != ref.named() {
			return
		}
		if best == nil || better(o, best) {
			best = o
		}
	})
	return best
}

// better says whether a is rather meant by a name than b. A refused request has no resourceVersion, so which of two
// attempts came last is told by when the API server received them.
func better(a, b *Object) bool {
	rank := func(o *Object) int {
		switch {
		case o.State != nil && o.State.Live:
			return 3
		case o.Created.Seen():
			return 2
		case o.Subject.UID != "":
			return 1
		}
		return 0
	}
	if rank(a) != rank(b) {
		return rank(a) > rank(b)
	}
	return cmp.Or(
		a.Created.Received.Compare(b.Created.Received),
		compareVersions(a.Created.ResourceVersion, b.Created.ResourceVersion),
	) > 0
}

// Focus narrows the trail to one object: its owners above it, without their other children, and everything below.
// It returns false if the object is not in the trail.
func (t Trail) Focus(ref Subject) (Trail, bool) {
	target := t.Find(ref)
	if target == nil {
		return Trail{}, false
	}
	out := Trail{APIVersion: t.APIVersion, Kind: t.Kind, Subject: target.Subject}
	for _, root := range t.Objects {
		if narrowed := root.towards(target); narrowed != nil {
			out.Objects = []*Object{narrowed}
		}
	}
	out.summarize()
	out.Outcome = out.outcomeOf(target)
	out.addTimeline()
	return out, true
}

// towards copies the path from the object down to the target; nil if the target is not below.
func (o *Object) towards(target *Object) *Object {
	if o == target {
		return o
	}
	for _, child := range o.Children {
		below := child.towards(target)
		if below == nil {
			continue
		}
		onPath := *o
		onPath.Children = []*Object{below}
		onPath.Stages = onlyAbout(o.Stages, below.Subject)
		return &onPath
	}
	return nil
}

// onlyAbout keeps of an owner's reconcile entries those that made the child, so that a Pod's trail doesn't tell of its
// siblings. If none names the child, all stay.
func onlyAbout(in []Entry, child Subject) []Entry {
	out := make([]Entry, 0, len(in))
	for _, e := range in {
		kept := Entry{Stage: e.Stage, Missing: e.Missing}
		for _, obs := range e.Observations {
			if uid, ok := obs.Fact(FactChildUID); !ok || uid == child.UID {
				kept.Observations = append(kept.Observations, obs)
			}
		}
		if len(kept.Observations) == 0 {
			kept = e
		}
		kept.At = kept.first()
		out = append(out, kept)
	}
	return out
}
