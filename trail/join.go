// SPDX-License-Identifier: Apache-2.0

package trail

import "slices"

// join completes what observations belong to by their Keys, for all that neither name their subject's UID nor are the
// record of a request. It returns what no identity joins apart: such evidence is never guessed to a place. The observations
// are its own from then on.
//
// Each pass uses only what the pass before has settled, so the result does not depend on the order; passes are made
// until one settles nothing new.
func join(all []Observation) (joined, unjoined []Observation) {
	nameCreations(all)
	for {
		links := learnLinks(all)
		progress := false
		for i := range all {
			o := &all[i]
			if o.settled() {
				continue
			}
			if from := links.find(o); from != nil {
				o.adopt(from)
				progress = progress || o.settled()
			}
		}
		if !progress {
			break
		}
	}
	joined = all[:0]
	for i := range all {
		o := &all[i]
		if !o.settled() && o.Keys.ResourceVersion != "" && o.Subject.UID != "" {
			// A revision whose request no source has: the write is known by its resourceVersion alone.
			o.Request = &Request{ResourceVersion: o.Keys.ResourceVersion, Creates: o.Keys.Creates}
		}
		if o.placed() {
			joined = append(joined, *o)
		} else {
			unjoined = append(unjoined, *o)
		}
	}
	return joined, unjoined
}

// nameCreations completes creations whose record has no name: audit level Metadata keeps neither the name that the API
// server generated nor the answer. The spans with the same Audit-ID have it, from the key under which it was stored.
func nameCreations(all []Observation) {
	stored := map[string]place{}
	for i := range all {
		if o := &all[i]; o.Request == nil && o.Subject.Name != "" {
			put(stored, o.Keys.AuditID, o)
		}
	}
	for i := range all {
		o := &all[i]
		if o.Request == nil || !o.Request.Creates || o.Request.Code >= 400 || o.Subject.Name != "" {
			continue
		}
		if from := stored[o.Request.AuditID]; from.at != nil && !from.several {
			o.Subject.Name = from.at.Subject.Name
		}
	}
}

// settled says that nothing more is to be found out about where an observation belongs.
func (o *Observation) settled() bool {
	named := o.Subject.UID != "" || o.Request != nil
	return named && (o.Request != nil || !o.Stage.ofWrite() || o.Keys == Keys{})
}

// placed says that the observation can stand in a trail. What is known of a request's inside stands only in that
// request; anything else needs at least a name.
func (o *Observation) placed() bool {
	if o.Stage.ofWrite() && o.Keys != (Keys{}) && o.Request == nil {
		return false
	}
	return o.Subject.UID != "" || o.Subject.Name != "" || o.Request != nil
}

// adopt gives an observation the place of another that an identity ties it to.
func (o *Observation) adopt(from *Observation) {
	if o.Subject.UID == "" {
		o.Subject = from.Subject
	}
	if o.Owner == nil {
		o.Owner = from.Owner
	}
	if o.Stage.ofWrite() {
		o.Request = from.Request
	}
}

// links are the settled observations by each identity; an identity that leads to more than one place leads nowhere.
type links struct {
	audit, trace, runtime map[string]place
	span                  map[spanKey]place
	version               map[versionKey]place
	parents               map[spanKey]spanKey
	bindings              map[string]place
	firstBound            map[string]string
}

// place is where an identity leads, and whether it leads to several.
type place struct {
	at      *Observation
	several bool
}

func learnLinks(all []Observation) links {
	l := links{
		audit: map[string]place{}, trace: map[string]place{}, runtime: map[string]place{}, span: map[spanKey]place{},
		version: map[versionKey]place{}, parents: map[spanKey]spanKey{}, bindings: map[string]place{},
		firstBound: firstBound(all),
	}
	for i := range all {
		o := &all[i]
		if o.Keys.Span != "" && o.Keys.Parent != "" {
			l.parents[o.Keys.span()] = o.Keys.parent()
		}
		if !o.settled() {
			continue
		}
		if o.Request != nil && o.Stage.ofWrite() {
			put(l.audit, o.Request.AuditID, o)
			put(l.version, versionOf(o.Subject.UID, o.Request.ResourceVersion), o)
			if o.Request.Subresource == "binding" && o.Request.Code < 400 {
				put(l.bindings, o.Subject.UID, o)
			}
		}
		put(l.span, o.Keys.span(), o)
		put(l.trace, o.Keys.Trace, o)
		put(l.runtime, o.Keys.Sandbox, o)
		put(l.runtime, o.Keys.Container, o)
	}
	return l
}

// put lets an identity lead to an observation; the zero of its type is none.
func put[K comparable](in map[K]place, key K, o *Observation) {
	if key == *new(K) {
		return
	}
	have, ok := in[key]
	switch {
	case !ok:
		in[key] = place{at: o}
	case !samePlace(have.at, o):
		in[key] = place{at: have.at, several: true}
	case have.at.Request == nil && o.Request != nil:
		in[key] = place{at: o, several: have.several}
	}
}

// samePlace says that two observations belong to the same object and, where both are of a request, to the same one.
func samePlace(a, b *Observation) bool {
	if a.Subject != b.Subject {
		return false
	}
	return a.Request == nil || b.Request == nil || keyOf(a.Request) == keyOf(b.Request)
}

// spanKey is a span of a trace, versionKey one state of an object; zero if half of it is not known.
type (
	spanKey    struct{ trace, span string }
	versionKey struct{ uid, version string }
)

func (k *Keys) span() spanKey   { return spanOf(k.Trace, k.Span) }
func (k *Keys) parent() spanKey { return spanOf(k.Trace, k.Parent) }

func spanOf(trace, span string) spanKey {
	if trace == "" || span == "" {
		return spanKey{}
	}
	return spanKey{trace, span}
}

func versionOf(uid, version string) versionKey {
	if uid == "" || version == "" {
		return versionKey{}
	}
	return versionKey{uid, version}
}

// find returns the place that the strongest of the observation's identities leads to, nil if none does.
func (l *links) find(o *Observation) *Observation {
	if o.Subject.UID != "" && o.Keys.ResourceVersion != "" {
		return l.writeOf(o)
	}
	for _, from := range []place{
		l.audit[o.Keys.AuditID], l.ancestor(&o.Keys), l.trace[o.Keys.Trace], l.runtime[o.Keys.Container], l.runtime[o.Keys.Sandbox],
	} {
		if from.at != nil && !from.several {
			return from.at
		}
	}
	return nil
}

// writeOf finds the write that stored a revision: the one whose answer shows it, or the Binding, whose answer shows no
// object, for the first revision that has a node. Nothing but a Binding sets spec.nodeName of a stored Pod.
func (l *links) writeOf(o *Observation) *Observation {
	key := versionOf(o.Subject.UID, o.Keys.ResourceVersion)
	if from := l.version[key]; from.at != nil && !from.several {
		return from.at
	}
	if from := l.bindings[o.Subject.UID]; from.at != nil && !from.several && l.firstBound[o.Subject.UID] == o.Keys.ResourceVersion {
		return from.at
	}
	return nil
}

// ancestor is the place of the nearest span above that has one. A ring of spans, which no tracer makes, ends.
func (l *links) ancestor(k *Keys) place {
	seen := map[spanKey]bool{}
	for up := k.parent(); up != (spanKey{}) && !seen[up]; up = l.parents[up] {
		if from, ok := l.span[up]; ok {
			return from
		}
		seen[up] = true
	}
	return place{}
}

// firstBound is for each Pod the first stored revision that has a node, if the revision before it was seen too.
func firstBound(all []Observation) map[string]string {
	revisions := map[string][]*Observation{}
	for i := range all {
		if o := &all[i]; o.Keys.ResourceVersion != "" && o.Subject.UID != "" && o.State != nil {
			revisions[o.Subject.UID] = append(revisions[o.Subject.UID], o)
		}
	}
	out := map[string]string{}
	for uid, of := range revisions {
		slices.SortStableFunc(of, func(a, b *Observation) int { return compareVersions(a.Keys.ResourceVersion, b.Keys.ResourceVersion) })
		bound := slices.IndexFunc(of, func(o *Observation) bool { return o.State.Node != "" })
		if bound > 0 {
			out[uid] = of[bound].Keys.ResourceVersion
		}
	}
	return out
}
