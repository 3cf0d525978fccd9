// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// The invariants. What each means exactly is in the package comment.
const (
	neverMore    = "never more Pods than asked for"
	neverTooFew  = "never delete below what is asked for"
	ownPods      = "write only to Pods that are the owner's"
	seenPods     = "write only to the very Pods that were seen"
	noDeadOwner  = "nothing is created or adopted for an owner that is being deleted"
	paused       = "a paused owner's Pods are not touched"
	rightOwner   = "a new Pod names its owner, matches it, and is controlled by nothing else"
	statusLast   = "the status is a pass's last write"
	statusOrder  = "observedGeneration never goes back"
	truthful     = "an event reports what has happened"
	converges    = "without faults, Pods and status become what is asked for"
	quiescent    = "what is as desired is not touched"
	nothingLeft  = "what is known of an owner is forgotten with it"
	boundedSteps = "a run without faults ends"
)

// shift is a change of the number of Pods that count for an owner.
type shift struct {
	*change
	uid  types.UID
	gain int
}

type spec struct {
	version  uint64
	replicas int
}

// doubt is a name that a process tried, having seen Pods up to since, and whose answer was lost; until is when it
// knew, or the end of the history.
type doubt struct {
	proc         *process
	name         string
	since, until uint64
}

// oracle knows the server's history as the invariants need it.
type oracle struct {
	checked uint64
	shifts  []shift
	// specs, last and deleted are by the owner's UID: what was asked for since when, the object as it was last, and
	// at which version its deletion was asked for.
	specs   map[types.UID][]spec
	last    map[types.UID]*trs
	deleted map[types.UID]uint64
	// removed holds the removals of Pods: their names can be given again.
	removed []*change
	doubts  []*doubt
	// excused counts overshoots that two processes made together in the way that docs/decisions/0004 names.
	excused int
	// requests counts what the controllers sent to be written, whether it changed something or not.
	requests int
}

func newOracle() oracle {
	return oracle{specs: map[types.UID][]spec{}, last: map[types.UID]*trs{}, deleted: map[types.UID]uint64{}}
}

// check looks at what has been committed since it was last called.
func (w *world) check() {
	for _, c := range w.server.history[w.oracle.checked:] {
		if c.resource == owners {
			w.checkOwner(c)
		} else {
			w.checkPod(c)
		}
		w.oracle.checked = c.version
	}
}

func (w *world) checkOwner(c *change) {
	o := &w.oracle
	if c.updated == nil {
		if uid := c.old.GetUID(); o.deleted[uid] == 0 {
			o.deleted[uid] = c.version
		}
		return
	}
	owner := c.updated.(*trs)
	o.last[owner.UID] = owner
	if owner.DeletionTimestamp != nil && o.deleted[owner.UID] == 0 {
		o.deleted[owner.UID] = c.version
	}
	asked := int(ptr.Deref(owner.Spec.Replicas, 1))
	if specs := o.specs[owner.UID]; len(specs) == 0 || specs[len(specs)-1].replicas != asked {
		o.specs[owner.UID] = append(specs, spec{version: c.version, replicas: asked})
	}
	if c.by == nil {
		return
	}
	old := c.old.(*trs)
	c.by.statusWritten = true
	last := w.lastStatus(c)
	if owner.Status.ObservedGeneration < old.Status.ObservedGeneration && (last == nil || last.proc == c.by.proc) {
		w.fail(statusOrder, "%s of %s goes from %d to %d", c.verb, c.name, old.Status.ObservedGeneration, owner.Status.ObservedGeneration)
	}
	if owner.Status.ObservedGeneration > owner.Generation {
		w.fail(statusOrder, "%s of %s is for generation %d, there are %d", c.verb, c.name, owner.Status.ObservedGeneration, owner.Generation)
	}
}

// lastStatus is the pass that wrote the status before a change.
func (w *world) lastStatus(c *change) *pass {
	for _, earlier := range slices.Backward(w.server.history[:c.version-1]) {
		if earlier.resource == owners && earlier.name == c.name && earlier.by != nil {
			return earlier.by
		}
	}
	return nil
}

func (w *world) checkPod(c *change) {
	o := &w.oracle
	before, after := w.countsFor(c.old), w.countsFor(c.updated)
	if before != after {
		if before != "" {
			o.shifts = append(o.shifts, shift{change: c, uid: before, gain: -1})
		}
		if after != "" {
			o.shifts = append(o.shifts, shift{change: c, uid: after, gain: 1})
		}
	}
	if c.updated == nil {
		o.removed = append(o.removed, c)
	}
	if c.by == nil {
		return
	}
	if c.by.statusWritten {
		w.fail(statusLast, "%s of %s comes after the status", c.verb, c.name)
	}
	if c.by.owner == nil {
		w.fail(ownPods, "%s of %s by a pass that knows no owner", c.verb, c.name)
		return
	}
	if c.by.owner.Spec.Paused {
		w.fail(paused, "%s of %s", c.verb, c.name)
	}
	switch c.verb {
	case "create":
		w.checkCreate(c, c.updated.(*corev1.Pod))
	case "delete":
		w.checkDelete(c)
	case "patch":
		w.checkPatch(c, c.updated.(*corev1.Pod))
	}
}

// countsFor returns the UID of the owner for which a Pod counts: it controls it, selects it, and the Pod is active.
func (w *world) countsFor(obj any) types.UID {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod == nil || finished(pod) || pod.DeletionTimestamp != nil {
		return ""
	}
	uid := controllerUID(pod)
	if owner := w.oracle.last[uid]; owner != nil && selects(owner, pod) {
		return uid
	}
	return ""
}

func (w *world) counted(uid types.UID) int {
	n := 0
	for _, name := range w.server.names(pods) {
		if w.countsFor(w.server.pod(name)) == uid {
			n++
		}
	}
	return n
}

// asked returns the least and the most replicas that the owner's specification asked for since a version.
func (o *oracle) asked(uid types.UID, since uint64) (least, most int) {
	specs := o.specs[uid]
	least, most = specs[len(specs)-1].replicas, specs[len(specs)-1].replicas
	for n := len(specs) - 1; n > 0 && specs[n].version > since; n-- {
		least, most = min(least, specs[n-1].replicas), max(most, specs[n-1].replicas)
	}
	return least, most
}
