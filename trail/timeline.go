// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"cmp"
	"slices"
	"time"
)

// Segment is a stretch of the time from the first request to a Pod being Ready: which stage of which object it is
// spent in. The segments of a Pod follow each other without gap or overlap, so they sum to the whole.
type Segment struct {
	Stage  Stage         `json:"stage"`
	Object Subject       `json:"object"`
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"tookNs"`
}

// Gap is a stretch of a Pod's time in which no evidence shows anybody at work.
type Gap struct {
	At   time.Time     `json:"at"`
	Took time.Duration `json:"tookNs"`
	// After and Before say what ended and what began at its ends.
	After  string `json:"after"`
	Before string `json:"before"`
}

// addTimeline places the time of the Pod that the trail is about, or of the slowest of its workload.
func (t *Trail) addTimeline() {
	pod := t.Outcome.Slowest
	if t.Subject.Kind == "Pod" {
		pod = &t.Subject
	}
	t.Timeline, t.Gaps = nil, nil
	if pod == nil {
		return
	}
	for _, root := range t.Objects {
		if chain := root.chainTo(*pod); chain != nil {
			t.Timeline = timeline(chain)
			t.Gaps = gaps(chain[len(chain)-1])
		}
	}
}

// chainTo lists the objects from this one down to the subject, nil if it is not below.
func (o *Object) chainTo(subject Subject) []*Object {
	if o.Subject == subject {
		return []*Object{o}
	}
	for _, child := range o.Children {
		if below := child.chainTo(subject); below != nil {
			return append([]*Object{o}, below...)
		}
	}
	return nil
}

// timeline lays the writes that led to the Pod, what lies between them, and the Pod's Schedule and Run end to end.
// Without the audit log nothing is dated exactly enough, and there is none.
func timeline(chain []*Object) []Segment {
	pod := chain[len(chain)-1]
	if !pod.Created.Seen() {
		return nil
	}
	var out []Segment
	var cursor time.Time
	spend := func(stage Stage, o *Object, until time.Time) {
		if took := between(cursor, until); took > 0 {
			out = append(out, Segment{Stage: stage, Object: o.Subject, At: cursor, Took: took})
			cursor = until
		}
	}
	var last *Object
	after := ""
	for _, o := range chain {
		w := o.writeBefore(pod, after)
		if w == nil {
			continue
		}
		if cursor.IsZero() {
			cursor = w.Received
		}
		if last != nil {
			spend(Reconcile, last, w.Received)
		}
		for _, share := range w.shares(between(cursor, w.Received.Add(w.Took))) {
			spend(share.Stage, o, cursor.Add(share.Took))
		}
		last, after = o, w.ResourceVersion
	}
	bound := pod.bound()
	spend(Schedule, pod, bound)
	if !bound.IsZero() {
		spend(Run, pod, pod.ReadyAt)
	}
	return out
}

// writeBefore is the write of an object that led to the Pod: its creation, or for an object that is older than what
// led to it, its last change of the spec before the Pod was stored. Of the first object only a person's change counts.
// After is the resourceVersion of the write before in the chain; nil means that the object was not written.
func (o *Object) writeBefore(pod *Object, after string) *Write {
	if o == pod || after != "" && o.Created.Seen() && compareVersions(o.Created.ResourceVersion, after) > 0 {
		return &o.Created
	}
	var found *Write
	if after == "" && o.Created.Seen() {
		found = &o.Created
	}
	for i := range o.Writes {
		if w := &o.Writes[i]; w.changesSpec() && w.counts(after) && compareVersions(w.ResourceVersion, pod.Created.ResourceVersion) < 0 {
			found = w
		}
	}
	return found
}

// changesSpec says that the write was seen to change more than the status.
func (w *Write) changesSpec() bool {
	return w.Seen() && w.Subresource != "status" && w.ResourceVersion != ""
}

// counts says whether the write can follow the one at that resourceVersion; where there is none before, a person's can.
func (w *Write) counts(after string) bool {
	if after == "" {
		return !IsSystem(w.User)
	}
	return compareVersions(w.ResourceVersion, after) > 0
}

// shares divides a request's time by its stages. What the spans place in no other stage is Submit's: reading the
// body, the handler's own work, the answer. The shares sum to total.
func (w Write) shares(total time.Duration) []Entry {
	submit := Entry{Stage: Submit, Took: total}
	var rest []Entry
	for _, e := range w.Stages {
		if e.Stage == Submit || e.Took <= 0 {
			continue
		}
		e.Took = min(e.Took, submit.Took)
		submit.Took -= e.Took
		rest = append(rest, e)
	}
	return append([]Entry{submit}, rest...)
}

// spanned is the time that the spans of an entry cover, where those inside of others count once.
func (e Entry) spanned() (at time.Time, took time.Duration) {
	var spans []Observation
	for _, o := range e.Observations {
		if o.Evidence.Source == SourceSpan && !o.Time.IsZero() {
			spans = append(spans, o)
		}
	}
	slices.SortStableFunc(spans, func(a, b Observation) int { return a.Time.Compare(b.Time) })
	var end time.Time
	for i, o := range spans {
		until := o.Time.Add(o.Duration)
		if i == 0 {
			at, end = o.Time, o.Time
		}
		if until.After(end) {
			took += until.Sub(latest(o.Time, end))
			end = until
		}
	}
	return at, took
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

const (
	// shownGaps bounds how many gaps are told, shortestGap how short one may be: 1/50 of the Pod's time, and 5 ms.
	shownGaps     = 3
	shortestGap   = 5 * time.Millisecond
	shortestShare = 50
)

// statusWrite is what a kubelet's write is called. Between two of them only spans tell what went on, so without spans
// that is no gap.
const statusWrite = "a status write"

// happening is something that took part of a Pod's time.
type happening struct {
	from, until time.Time
	begins      string
	ends        string
}

// gaps finds the longest stretches between the Pod's creation and its being Ready in which nothing is seen to happen.
func gaps(pod *Object) []Gap {
	seen := happenings(pod)
	if len(seen) == 0 || pod.ReadyAt.IsZero() {
		return nil
	}
	seen = append(seen, happening{from: pod.ReadyAt, until: pod.ReadyAt, begins: "Ready", ends: "Ready"})
	slices.SortStableFunc(seen, func(a, b happening) int {
		return cmp.Or(a.from.Compare(b.from), a.until.Compare(b.until), cmp.Compare(a.begins, b.begins))
	})
	least := max(shortestGap, pod.ReadyAt.Sub(seen[0].from)/shortestShare)
	var out []Gap
	last := seen[0]
	for _, h := range seen[1:] {
		took := h.from.Sub(last.until)
		betweenWrites := last.ends == statusWrite && h.begins == statusWrite
		if took >= least && !h.from.After(pod.ReadyAt) && !betweenWrites {
			out = append(out, Gap{At: last.until, Took: took, After: last.ends, Before: h.begins})
		}
		if h.until.After(last.until) {
			last = h
		}
	}
	slices.SortStableFunc(out, func(a, b Gap) int { return cmp.Compare(b.Took, a.Took) })
	return out[:min(len(out), shownGaps)]
}

// happenings are what sources date to less than a second: requests, spans and decisions.
func happenings(pod *Object) []happening {
	var out []happening
	if pod.Created.Seen() {
		out = append(out, happened(pod.Created.Received, pod.Created.Took, "the Pod's creation"))
	}
	for _, w := range pod.Writes {
		name := "a " + cmp.Or(w.Subresource, "spec") + " write"
		if w.Subresource == "binding" {
			name = "the Binding"
		}
		if w.Seen() {
			out = append(out, happened(w.Received, w.Took, name))
		}
	}
	for _, e := range pod.Stages {
		for _, o := range e.Observations {
			if h, dated := o.happening(); dated {
				out = append(out, h)
			}
		}
	}
	return out
}

func happened(from time.Time, took time.Duration, name string) happening {
	return happening{from: from, until: from.Add(took), begins: name, ends: name}
}

// happening is what a span or a decision dates; false if the observation is neither.
func (o Observation) happening() (happening, bool) {
	name, _ := o.Fact(FactSpan)
	switch {
	case o.Time.IsZero():
		return happening{}, false
	case o.Evidence.Source == SourceDecision:
		return happened(o.Time, o.Duration, "the scheduler's decision"), true
	case name == "syncPod": // it spans the work that its children date, and its waiting
		return happened(o.Time, 0, "the kubelet's sync"), true
	case o.Evidence.Source == SourceSpan && name != "":
		return happened(o.Time, o.Duration, shortSpan(name)), true
	}
	return happening{}, false
}

// shortSpan leaves of a gRPC method's name the method.
func shortSpan(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}
