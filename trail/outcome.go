// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"slices"
	"time"
)

// APIVersion and Kind head a trail in JSON and YAML.
const (
	APIVersion = "podtrail.dev/v1alpha1"
	Kind       = "Trail"
)

// Trail is the whole way of one subject, or of all that were observed.
type Trail struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Subject is what the trail is about; empty if it is about everything that was observed.
	Subject Subject `json:"subject,omitzero"`
	Outcome Outcome `json:"outcome"`
	// Start is the first request's time, the zero of a trail.
	Start time.Time `json:"start,omitzero"`
	// Observed and Inferred count the facts by how they were joined.
	Observed int `json:"observed"`
	Inferred int `json:"inferred"`
	// Objects are the trees, by the resourceVersion at which their roots were stored.
	Objects []*Object `json:"objects"`
	// Timeline divides the time from the first request to the Pod being Ready, Gaps are where nothing was seen to happen
	// in it. They are the subject's if it is a Pod, else those of the Pod that was Ready last.
	Timeline []Segment `json:"timeline,omitempty"`
	Gaps     []Gap     `json:"gaps,omitempty"`
	// Unjoined is evidence that no identity joins to an object; a trail of one subject leaves it out.
	Unjoined []Observation `json:"unjoined,omitempty"`
}

// Result is the outcome in one word.
type Result string

// The results. Refused, Failed and Unknown mean that there is no Ready Pod and none is on its way as far as is known.
const (
	Ready   Result = "Ready"
	Refused Result = "Refused"
	Failed  Result = "Failed"
	Waiting Result = "Waiting"
	Gone    Result = "Gone"
	Unknown Result = "Unknown"
)

// Outcome says what became of the subject.
type Outcome struct {
	Result Result `json:"result"`
	// Ready of Desired Pods are Ready.
	Ready   int `json:"ready"`
	Desired int `json:"desired"`
	// Took is the time from the request to the last Pod being Ready, or to the refusal; 0 if not known.
	Took time.Duration `json:"tookNs,omitempty"`
	// Stage is the one that failed or that is waited for.
	Stage   Stage    `json:"stage,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
	// Slowest is the Pod that was Ready last.
	Slowest *Subject `json:"slowest,omitempty"`
}

// summarize fills in what is counted over the whole tree.
func (t *Trail) summarize() {
	t.Observed, t.Inferred, t.Start = 0, 0, time.Time{}
	t.Walk(func(o *Object) {
		if start := o.Start(); !start.IsZero() && (t.Start.IsZero() || start.Before(t.Start)) {
			t.Start = start
		}
		for _, e := range o.Entries() {
			for _, obs := range e.Observations {
				if obs.Inferred {
					t.Inferred += len(obs.Facts)
				} else {
					t.Observed += len(obs.Facts)
				}
			}
		}
	})
	if len(t.Objects) > 0 {
		t.Outcome = t.outcomeOf(t.Objects[0])
	}
}

// Walk calls visit for each object, owners before what they own.
func (t *Trail) Walk(visit func(*Object)) {
	for _, root := range t.Objects {
		root.walk(visit)
	}
}

func (o *Object) walk(visit func(*Object)) {
	visit(o)
	for _, child := range o.Children {
		child.walk(visit)
	}
}

// Entries are all stages of the object's writes and of its life afterwards.
func (o *Object) Entries() []Entry {
	all := slices.Concat(o.Created.Stages, o.Stages)
	for _, w := range o.Writes {
		all = append(all, w.Stages...)
	}
	return all
}

// outcomeOf judges one object: a Pod by its own state, a workload by its Pods.
func (t *Trail) outcomeOf(o *Object) Outcome {
	switch {
	case o.Refused():
		failed := o.Created.Failed()
		out := Outcome{Result: Refused, Took: o.Created.Took, Desired: 1}
		if failed != nil {
			out.Stage, out.Failure = failed.Stage, failed.Failure()
		}
		return out
	case o.Subject.Kind == "Pod":
		return t.podOutcome(o)
	}
	return t.workloadOutcome(o)
}

func (t *Trail) podOutcome(o *Object) Outcome {
	out := Outcome{Desired: 1, Result: Waiting, Stage: Schedule}
	switch {
	case t.gone(o):
		out.Result, out.Stage = Gone, 0
	case o.State == nil:
		out.Result, out.Stage = Unknown, 0
	case o.State.Ready:
		out.Result, out.Stage, out.Ready = Ready, 0, 1
		out.Took = between(o.Start(), o.ReadyAt)
		slowest := o.Subject
		out.Slowest = &slowest
	case o.State.Failure != nil:
		out.Result, out.Stage, out.Failure = Failed, o.State.FailedAt, o.State.Failure
	case o.State.Phase == "Succeeded":
		out.Result, out.Stage = Ready, 0
	case o.State.Node != "":
		out.Stage = Run
	}
	return out
}

// gone says that the object was deleted: a delete was seen, or others are known to live and this one is not.
func (t *Trail) gone(o *Object) bool {
	if o.State != nil && o.State.Live {
		return false
	}
	for _, w := range o.Writes {
		if w.Verb == "delete" && w.Subresource == "" && w.Code < 400 {
			return true
		}
	}
	live := false
	t.Walk(func(other *Object) { live = live || other.State != nil && other.State.Live })
	return live
}

func (t *Trail) workloadOutcome(o *Object) Outcome {
	out := Outcome{Result: Waiting, Stage: Reconcile}
	if o.State == nil {
		out.Result = Unknown
		return out
	}
	if o.State.Desired != nil {
		out.Desired = int(*o.State.Desired)
	}
	var pods []*Object
	o.walk(func(child *Object) {
		if child.Subject.Kind == "Pod" {
			pods = append(pods, child)
		}
	})
	for _, pod := range pods {
		of := t.outcomeOf(pod)
		switch {
		case of.Result == Ready:
			out.Ready++
		case of.Failure != nil && out.Failure == nil:
			out.Stage, out.Failure = of.Stage, of.Failure
		case of.Result == Waiting && out.Failure == nil:
			out.Stage = of.Stage
		}
	}
	switch {
	case out.Ready >= out.Desired:
		out.Result, out.Stage, out.Failure = Ready, 0, nil
		out.Took, out.Slowest = rollout(o, pods, out.Desired)
	case out.Failure != nil:
		out.Result = Failed
	}
	return out
}

// rollout measures the newest roll-out: from the last write to the workload that precedes the newest Pod's creation
// to the last of the Pods which that write asked for being Ready. Pods that only replaced lost ones don't count.
func rollout(o *Object, pods []*Object, desired int) (time.Duration, *Subject) {
	pods = slices.DeleteFunc(slices.Clone(pods), (*Object).Refused)
	slices.SortStableFunc(pods, compareObjects)
	if len(pods) == 0 {
		return 0, nil
	}
	newest := pods[len(pods)-1]
	cause, start := o.causeOf(newest)
	before := 0
	var asked []*Object
	for _, pod := range pods {
		switch {
		case pod.Owner == nil || newest.Owner == nil || pod.Owner.UID != newest.Owner.UID:
		case compareVersions(pod.Created.ResourceVersion, cause) < 0:
			before++
		case len(asked)+before < desired:
			asked = append(asked, pod)
		}
	}
	var last time.Time
	var slowest *Subject
	for _, pod := range asked {
		if pod.ReadyAt.IsZero() {
			return 0, nil
		}
		if slowest == nil || pod.ReadyAt.After(last) {
			subject := pod.Subject
			last, slowest = pod.ReadyAt, &subject
		}
	}
	return between(start, last), slowest
}

// causeOf finds the resourceVersion and the time of the workload's last write by a person that precedes the Pod.
func (o *Object) causeOf(pod *Object) (string, time.Time) {
	version, start := o.Created.ResourceVersion, o.Start()
	for _, w := range o.Writes {
		byStatus := w.Subresource == "status" || w.ResourceVersion == "" || IsSystem(w.User)
		if !byStatus && compareVersions(w.ResourceVersion, pod.Created.ResourceVersion) < 0 {
			version, start = w.ResourceVersion, w.Received
		}
	}
	return version, start
}

// between is the time from start to end, 0 if one of them is not known.
func between(start, end time.Time) time.Duration {
	if start.IsZero() || end.IsZero() {
		return 0
	}
	return max(0, end.Sub(start))
}
