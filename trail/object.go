// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"cmp"
	"slices"
	"time"
)

// Object is one object's part of the trail.
type Object struct {
	Subject Subject  `json:"subject"`
	Owner   *Subject `json:"owner,omitempty"`
	// Created is the request that made the object, or was refused; its Request is empty if no evidence has it.
	Created Write `json:"created"`
	// Writes are the later requests that changed the object, by resourceVersion.
	Writes []Write `json:"writes,omitempty"`
	// Stages are those that are not of one request: Reconcile and later.
	Stages []Entry `json:"stages,omitempty"`
	// State is the newest status that is known.
	State *State `json:"state,omitempty"`
	// ReadyAt is when the object became Ready for the last time, zero if it is not.
	ReadyAt  time.Time `json:"readyAt,omitzero"`
	Children []*Object `json:"children,omitempty"`
}

// Write is one API request with its stages.
type Write struct {
	Request
	Stages []Entry `json:"stages"`
}

// Seen says whether there is evidence of the request itself.
func (w Write) Seen() bool { return w.AuditID != "" }

// Failed returns the entry of the stage that refused the request, or nil.
func (w Write) Failed() *Entry {
	for i := range w.Stages {
		if w.Stages[i].Failure() != nil {
			return &w.Stages[i]
		}
	}
	return nil
}

// Entry is what is known about one stage.
type Entry struct {
	Stage Stage `json:"stage"`
	// At and Took place the stage in time as far as the evidence can: the audit log dates whole requests, not the
	// stages inside of one. Zero if not known.
	At           time.Time     `json:"at,omitzero"`
	Took         time.Duration `json:"tookNs,omitempty"`
	Observations []Observation `json:"observations,omitempty"`
	// Missing is set if the stage has no evidence. Beside observations it says which of the stage's sources has
	// none.
	Missing *Missing `json:"missing,omitempty"`
}

// Failure returns the failure that the entry holds, or nil.
func (e Entry) Failure() *Failure {
	for _, o := range e.Observations {
		if o.Failure != nil {
			return o.Failure
		}
	}
	return nil
}

// Refused says that the object was never stored.
func (o *Object) Refused() bool { return o.Created.Seen() && o.Created.Code >= 400 }

// Start is when the request for the object came in: to the microsecond from the audit log, else to the second from
// the object's creationTimestamp; zero if neither is known.
func (o *Object) Start() time.Time {
	if o.Created.Seen() {
		return o.Created.Received
	}
	for _, e := range o.Created.Stages {
		for _, obs := range e.Observations {
			if e.Stage == Persist && !obs.Time.IsZero() {
				return obs.Time
			}
		}
	}
	return time.Time{}
}

// finish turns the draft into an object.
func (d *draft) finish() *Object {
	o := &Object{Subject: d.subject, Owner: d.owner}
	creating, others := d.split()
	for _, r := range others {
		o.Writes = append(o.Writes, Write{Request: r.request, Stages: entries(r.observations)})
	}
	var own, later []*Observation
	for _, obs := range d.loose {
		if obs.Stage.ofWrite() {
			own = append(own, obs)
		} else {
			later = append(later, obs)
		}
	}
	o.Created.Stages = entries(own)
	if creating != nil {
		o.Created.Request = creating.request
		o.Created.Stages = entries(append(creating.observations, own...))
	}
	o.Stages = entries(later)
	d.settleState(o)
	o.addTimes()
	o.addMissing()
	return o
}

// split finds the creating request among the draft's and returns the others in order. Of several refused attempts
// the latest stands for all. A first revision in etcd whose request is not known is that request.
func (d *draft) split() (creating *requestDraft, others []*requestDraft) {
	attempts := 0
	var stored *requestDraft
	for _, r := range d.requests {
		switch {
		case !r.request.Creates:
			others = append(others, r)
			continue
		case r.request.AuditID == "":
			stored = r
			continue
		}
		attempts++
		if creating == nil || compareRequests(creating.request, r.request) < 0 {
			creating = r
		}
	}
	switch {
	case creating == nil:
		creating = stored
	case stored != nil: // an object is created once: this is what the request stored
		creating.request.ResourceVersion = stored.request.ResourceVersion
		creating.observations = append(creating.observations, stored.observations...)
	}
	if creating != nil && attempts > 1 {
		creating.request.Attempts = attempts
	}
	slices.SortFunc(others, func(a, b *requestDraft) int { return compareRequests(a.request, b.request) })
	return creating, others
}

// compareRequests orders the writes of one object: the Binding first, whose answer carries no resourceVersion but
// which precedes every kubelet's status; then by resourceVersion; refused ones last. Only among refused ones, which
// have no effect, the time received decides.
func compareRequests(a, b Request) int {
	rank := func(r Request) int {
		switch {
		case r.Subresource == "binding" && r.Code < 400 && r.ResourceVersion == "":
			return 0
		case r.ResourceVersion != "":
			return 1
		}
		return 2
	}
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		compareVersions(a.ResourceVersion, b.ResourceVersion),
		a.Received.Compare(b.Received),
		keyOf(&a).compare(keyOf(&b)),
	)
}

// entries groups observations by stage; inside of a stage by the resourceVersion of their request or state.
func entries(observations []*Observation) []Entry {
	slices.SortStableFunc(observations, func(a, b *Observation) int {
		if c := cmp.Compare(a.Stage, b.Stage); c != 0 {
			return c
		}
		return cmp.Or(
			compareVersions(a.version(), b.version()),
			cmp.Compare(a.Evidence.Source, b.Evidence.Source),
			cmp.Compare(a.Evidence.ID, b.Evidence.ID),
		)
	})
	var out []Entry
	for _, o := range observations {
		if len(out) == 0 || out[len(out)-1].Stage != o.Stage {
			out = append(out, Entry{Stage: o.Stage})
		}
		last := &out[len(out)-1]
		if o.Missing != nil {
			last.Missing = o.Missing
			continue
		}
		last.Observations = append(last.Observations, *o)
	}
	for i := range out {
		if len(out[i].Observations) > 0 {
			out[i].Missing = nil
		}
	}
	return out
}

// version is the resourceVersion that places the observation among others of its stage; empty if it has none.
func (o *Observation) version() string {
	switch {
	case o.State != nil:
		return o.State.ResourceVersion
	case o.Request != nil:
		return o.Request.ResourceVersion
	}
	return ""
}

// settleState takes the newest state, and dates the present run of readiness by its first evidence.
func (d *draft) settleState(o *Object) {
	if len(d.states) == 0 {
		return
	}
	slices.SortStableFunc(d.states, func(a, b State) int {
		return cmp.Or(compareVersions(a.ResourceVersion, b.ResourceVersion), boolOrder(a.Live, b.Live))
	})
	newest := d.states[len(d.states)-1]
	for i := len(d.states) - 1; i >= 0 && d.states[i].Ready; i-- {
		if at := d.states[i].ReadyAt; !at.IsZero() {
			o.ReadyAt = at
		}
	}
	o.State = &newest
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// addTimes dates the entries: those of writes by their requests and spans, Schedule from the Pod being stored to the answer to its Binding,
// Run from there to Ready. The last two only if the audit log has both ends, since objects hold whole seconds.
func (o *Object) addTimes() {
	o.Created.addTimes()
	for i := range o.Writes {
		o.Writes[i].addTimes()
	}
	bound := o.bound()
	for i := range o.Stages {
		switch e := &o.Stages[i]; {
		case e.Stage == Schedule && o.Created.Seen() && !bound.IsZero():
			e.At = o.Created.Received.Add(o.Created.Took)
			e.Took = between(e.At, bound)
		case e.Stage == Run && !bound.IsZero():
			e.At, e.Took = bound, between(bound, o.ReadyAt)
		case e.Stage == Reconcile:
			e.At = e.first()
		}
	}
}

// addTimes gives each stage the time that its spans cover, and Submit what is left of the request's.
func (w *Write) addTimes() {
	if !w.Seen() {
		return
	}
	for i := range w.Stages {
		if e := &w.Stages[i]; e.Stage != Submit {
			e.At, e.Took = e.spanned()
		}
	}
	share := w.shares(w.Took)[0].Took
	for i := range w.Stages {
		if e := &w.Stages[i]; e.Stage == Submit {
			e.At, e.Took = w.Received, share
		}
	}
}

// bound is when the Binding was answered, zero if no evidence has it.
func (o *Object) bound() time.Time {
	for _, w := range o.Writes {
		if w.Subresource == "binding" && w.Code < 400 {
			return w.Received.Add(w.Took)
		}
	}
	return time.Time{}
}

// first is the earliest time among the entry's audited observations, for display.
func (e Entry) first() time.Time {
	var first time.Time
	for _, obs := range e.Observations {
		if obs.Evidence.Source == SourceAudit && (first.IsZero() || obs.Time.Before(first)) {
			first = obs.Time
		}
	}
	return first
}
