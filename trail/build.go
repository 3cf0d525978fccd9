// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"cmp"
	"slices"
	"strconv"
)

// Build joins observations into a trail: a tree of objects by ownerReference, each with its writes in the order of
// their resourceVersions, each write with its stages.
//
// Observations are joined by identity only: the UID of the object, the ownerReference's UID, the Audit-ID of the
// request, the resourceVersion that it stored, the parent of a span and its trace, the ids of sandbox and container.
// Where the evidence holds none of them and only one object of that name is known, the join is by name and marked
// inferred. Time never joins and never orders causes. The result does not depend on the observations' order.
//
// Heard is what the recorders said of those who send them spans when the evidence was read, if that is known. It joins
// nothing; where spans are missing it says why.
func Build(observations []Observation, heard ...Listening) Trail {
	b := builder{objects: map[string]*draft{}, uids: map[Subject]map[string]bool{}}
	joined, unjoined := join(canonical(observations))
	for i := range joined {
		b.learn(joined[i].Subject)
	}
	for i := range joined {
		b.add(&joined[i])
	}
	t := b.trail()
	of := listeningOf(heard)
	t.Walk(func(o *Object) { o.addLacking(of) })
	t.Unjoined = unjoined
	return t
}

// builder gathers what the observations tell, object by object.
type builder struct {
	objects map[string]*draft
	// uids are the UIDs known for each name.
	uids map[Subject]map[string]bool
}

// draft is an Object while observations still come in.
type draft struct {
	subject  Subject
	owner    *Subject
	requests map[requestKey]*requestDraft
	loose    []*Observation
	states   []State
}

type requestDraft struct {
	request      Request
	observations []*Observation
}

func (b *builder) learn(s Subject) {
	if s.UID == "" {
		return
	}
	if b.uids[s.named()] == nil {
		b.uids[s.named()] = map[string]bool{}
	}
	b.uids[s.named()][s.UID] = true
}

// add puts an observation to its object and, inside of that, to its request.
func (b *builder) add(o *Observation) {
	d := b.objects[b.identify(o)]
	if d.owner == nil {
		d.owner = o.Owner
	}
	if o.State != nil {
		d.states = append(d.states, *o.State)
	}
	if o.Request == nil || !o.Stage.ofWrite() {
		d.loose = append(d.loose, o)
		return
	}
	key := keyOf(o.Request)
	if d.requests[key] == nil {
		d.requests[key] = &requestDraft{request: *o.Request}
	}
	r := d.requests[key]
	if r.request.ResourceVersion == "" { // a Binding's answer shows none; what it stored does
		r.request.ResourceVersion = o.Keys.ResourceVersion
	}
	r.observations = append(r.observations, o)
}

// requestKey tells requests apart. The Audit-ID alone does not, because a client may choose it, also twice. A write
// that is known by what it stored alone has that to tell it apart.
type requestKey struct {
	auditID, verb, uri string
	received           int64
	stored             string
}

func keyOf(r *Request) requestKey {
	if r.AuditID == "" {
		return requestKey{stored: r.ResourceVersion}
	}
	return requestKey{auditID: r.AuditID, verb: r.Verb, uri: r.URI, received: r.Received.UnixNano()}
}

func (k requestKey) compare(other requestKey) int {
	return cmp.Or(
		cmp.Compare(k.auditID, other.auditID), cmp.Compare(k.verb, other.verb), cmp.Compare(k.uri, other.uri),
		cmp.Compare(k.received, other.received), cmp.Compare(k.stored, other.stored),
	)
}

// identify finds or makes the draft that the observation belongs to and returns its key. It completes the subject's
// UID where the name alone leads to it, and marks that.
func (b *builder) identify(o *Observation) string {
	key := o.Subject.UID
	switch {
	case key != "":
	case o.Request != nil && o.Request.Creates && o.Request.Code >= 400:
		// Never stored, so it has no UID. What the same owner asked for and got refused is one thing tried again.
		key = "refused|" + o.Subject.Kind + "|" + o.Subject.Namespace + "|" + refusedAs(o)
	case len(b.uids[o.Subject]) == 1:
		for uid := range b.uids[o.Subject] {
			key = uid
		}
		o.Subject.UID = key
		o.Inferred = true
	default:
		key = "named|" + o.Subject.Kind + "|" + o.Subject.Namespace + "|" + o.Subject.Name
	}
	if b.objects[key] == nil {
		b.objects[key] = &draft{subject: o.Subject, requests: map[requestKey]*requestDraft{}}
	}
	return key
}

// refusedAs identifies a refused object: by its owner if it has one, else by its name.
func refusedAs(o *Observation) string {
	code := "|" + strconv.Itoa(int(o.Request.Code))
	if o.Owner != nil {
		return o.Owner.UID + code
	}
	return o.Subject.Name + code
}

// trail makes the tree of the gathered drafts.
func (b *builder) trail() Trail {
	keys := make([]string, 0, len(b.objects))
	for key := range b.objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	objects := make([]*Object, 0, len(keys))
	byUID := map[string]*Object{}
	for _, key := range keys {
		object := b.objects[key].finish()
		objects = append(objects, object)
		if object.Subject.UID != "" {
			byUID[object.Subject.UID] = object
		}
	}
	t := Trail{APIVersion: APIVersion, Kind: Kind, Objects: link(objects, byUID)}
	t.summarize()
	return t
}

// link hangs each object under its owner and returns those without one. An object whose owners form a ring, which no
// cluster can have, stays a root.
func link(objects []*Object, byUID map[string]*Object) []*Object {
	parent := func(o *Object) *Object {
		if o.Owner == nil {
			return nil
		}
		return byUID[o.Owner.UID]
	}
	inRing := func(o *Object) bool {
		seen := map[*Object]bool{}
		for up := o; up != nil; up = parent(up) {
			if seen[up] {
				return true
			}
			seen[up] = true
		}
		return false
	}
	var roots []*Object
	for _, o := range objects {
		if p := parent(o); p != nil && !inRing(o) {
			p.Children = append(p.Children, o)
		} else {
			roots = append(roots, o)
		}
	}
	for _, o := range objects {
		slices.SortStableFunc(o.Children, compareObjects)
	}
	slices.SortStableFunc(roots, compareObjects)
	return roots
}

// compareObjects orders by the resourceVersion at which each was stored; what was never stored comes last.
func compareObjects(a, b *Object) int {
	return cmp.Or(
		compareVersions(a.Created.ResourceVersion, b.Created.ResourceVersion),
		cmp.Compare(a.Subject.Kind, b.Subject.Kind),
		cmp.Compare(a.Subject.Name, b.Subject.Name),
		cmp.Compare(a.Subject.UID, b.Subject.UID),
	)
}

// compareVersions compares resourceVersions as numbers, which Kubernetes 1.35 and later promise they are; one that
// isn't a number, or not known, comes after all that are. See apimachinery's resourceversion.CompareResourceVersion.
func compareVersions(a, b string) int {
	return cmp.Compare(versionNumber(a), versionNumber(b))
}

func versionNumber(rv string) uint64 {
	const unknown = ^uint64(0)
	if rv == "" { // often, and strconv's error would cost
		return unknown
	}
	n, err := strconv.ParseUint(rv, 10, 64)
	if err != nil {
		return unknown
	}
	return n
}
