// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
)

// The invariants. What each means exactly is in the package comment.
const (
	neverMore    = "never more Pods than asked for"
	neverTooFew  = "never delete below what is asked for"
	ownPods      = "write only to Pods that are the owner's"
	seenPods     = "write only to the very Pods that were seen"
	noDeadOwner  = "nothing is created or adopted for an owner that is being deleted"
	paused       = "a paused owner's Pods are left alone"
	rightOwner   = "a new Pod names its owner, matches it, and is controlled by nothing else"
	statusLast   = "the status is a pass's last write"
	statusOrder  = "observedGeneration never goes back"
	truthful     = "an event tells what has happened"
	converges    = "without faults, Pods and status become what is asked for"
	quiescent    = "what is as asked for is left alone"
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

func (w *world) checkCreate(c *change, pod *corev1.Pod) {
	owner := c.by.owner
	if controllerUID(pod) != owner.UID || len(pod.OwnerReferences) != 1 || !selects(owner, pod) {
		w.fail(rightOwner, "Pod %s is controlled by %q and was created for %s", pod.Name, controllerUID(pod), owner.UID)
		return
	}
	if owner.DeletionTimestamp != nil {
		w.fail(noDeadOwner, "Pod %s is created for %s, whose deletion the pass had seen", pod.Name, owner.Name)
	}
	w.checkOvershoot(c, owner.UID)
}

// checkOvershoot compares the Pods that count with the most that was asked for since the oldest view that a creator
// of one of the newest Pods had.
func (w *world) checkOvershoot(c *change, uid types.UID) {
	o := &w.oracle
	pods, owners, together := c.by.podsVersion, c.by.ownerVersion, false
	for again := true; again; {
		again = false
		for _, s := range o.shifts {
			if s.uid != uid || s.verb != "create" || s.version <= pods {
				continue
			}
			together = together || s.by.proc != c.by.proc
			if s.by.podsVersion < pods || s.by.ownerVersion < owners {
				pods, owners, again = min(pods, s.by.podsVersion), min(owners, s.by.ownerVersion), true
			}
		}
	}
	_, most := o.asked(uid, owners)
	for _, s := range o.shifts {
		if s.uid == uid && s.version > pods && s.gain > 0 && s.verb != "create" && (s.by != c.by || together) {
			// The pass counted what it adopted itself; another process could not know.
			most++
		}
	}
	counted := w.counted(uid)
	switch {
	case counted <= most || w.profile.overtaking:
	case together && slices.ContainsFunc(o.removed, func(r *change) bool {
		return r.version > pods && strings.HasPrefix(r.name, c.by.name+"-")
	}):
		o.excused++
	default:
		w.fail(neverMore, "after the creation of %s by %s, which had seen Pods up to v%d, %s has %d Pods and %d are asked for",
			c.name, c.by.proc, c.by.podsVersion, c.by.name, counted, most)
	}
}

func (w *world) checkDelete(c *change) {
	p, o := c.by, &w.oracle
	seen := p.saw[c.name]
	if seen == nil || seen.UID != c.old.GetUID() {
		w.fail(seenPods, "the deletion of %s hits the Pod of UID %s, which the pass had not seen", c.name, c.old.GetUID())
		return
	}
	if controllerUID(seen) != p.owner.UID && !p.adopted[c.name] {
		w.fail(ownPods, "the deletion of %s for %s hits a Pod that %q controlled", c.name, p.owner.UID, controllerUID(seen))
		return
	}
	least, _ := o.asked(p.owner.UID, p.ownerVersion)
	for _, s := range o.shifts {
		if s.uid != p.owner.UID || s.gain > 0 || s.version <= p.podsVersion || s.change == c {
			continue
		}
		expired := c.at.Sub(s.at) > expectations.Timeout
		if s.by == nil || s.by.proc != p.proc || s.lost || expired {
			least--
		}
	}
	for name := range p.adopted {
		if pod := w.server.pod(name); name != c.name && (pod == nil || w.countsFor(pod) != p.owner.UID) {
			// Somebody changed it between the view and the adoption.
			least--
		}
	}
	if counted := w.counted(p.owner.UID); counted < least && !w.profile.overtaking {
		w.fail(neverTooFew, "after the deletion of %s by %s %d Pods are left and %d are asked for", c.name, p.proc, counted, least)
	}
}

func (w *world) checkPatch(c *change, updated *corev1.Pod) {
	p := c.by
	before, after := controllerUID(c.old), controllerUID(updated)
	seen := p.saw[c.name]
	switch {
	case seen == nil || seen.UID != updated.UID:
		w.fail(seenPods, "the patch of %s hits the Pod of UID %s, which the pass had not seen", c.name, updated.UID)
	case before != "" && before != p.owner.UID:
		w.fail(ownPods, "the patch of %s for %s hits a Pod that %q controls", c.name, p.owner.UID, before)
	case after == before:
	case after == "":
	case after != p.owner.UID:
		w.fail(ownPods, "%s is given to %q by a pass for %q", c.name, after, p.owner.UID)
	default:
		if deleted := w.oracle.deleted[after]; deleted != 0 && deleted <= p.began {
			w.fail(noDeadOwner, "%s is adopted for %s, which was deleted at v%d, before the pass began at v%d", c.name, p.name, deleted, p.began)
		}
	}
}

// checkEvent holds an event against the server: a Pod that is said to be created is there, or was since the pass
// began, and the owner controls it.
func (w *world) checkEvent(uid types.UID, reason, name string) {
	if reason != podtrailv1alpha1.SuccessfulCreateReason || w.mutant.renames {
		return
	}
	for _, c := range slices.Backward(w.server.history) {
		if c.resource == pods && c.name == name && c.updated != nil && controllerUID(c.updated) == uid {
			return
		}
		if c.resource == pods && c.name == name && c.updated != nil {
			break
		}
	}
	w.fail(truthful, "%s is said to be created for %s", name, uid)
}

// wantStatus is what the status of an owner has to say once everything has been seen. It counts on its own, not with
// the controller's functions.
func (w *world) wantStatus(owner *trs) (replicas, labelled, ready, available, terminating int32) {
	for _, name := range w.server.names(pods) {
		pod := w.server.pod(name)
		if controllerUID(pod) != owner.UID || !selects(owner, pod) || finished(pod) {
			continue
		}
		if pod.DeletionTimestamp != nil {
			terminating++
			continue
		}
		replicas++
		full := true
		for key, value := range owner.Spec.Template.Labels {
			full = full && pod.Labels[key] == value
		}
		if full {
			labelled++
		}
		if isReady(pod) {
			ready++
			since := pod.Status.Conditions[0].LastTransitionTime
			if time.Since(since.Time) >= time.Duration(owner.Spec.MinReadySeconds)*time.Second {
				available++
			}
		}
	}
	return replicas, labelled, ready, available, terminating
}
