// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
)

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
	case together && w.freedSince(pods, c.by.name):
		o.excused++
	default:
		w.fail(neverMore, "after the creation of %s by %s, which had seen Pods up to v%d, %s has %d Pods and %d are asked for",
			c.name, c.by.proc, c.by.podsVersion, c.by.name, counted, most)
	}
}

// freedSince reports whether a name that the owner gives has become free since a version, or, if the answer to a
// creation was lost after that, since the pass that tried it: its process tries that name first until it knows.
func (w *world) freedSince(version uint64, owner string) bool {
	for _, doubt := range w.oracle.doubts {
		if doubt.until > version && strings.HasPrefix(doubt.name, owner+"-") {
			version = min(version, doubt.since)
		}
	}
	return slices.ContainsFunc(w.oracle.removed, func(c *change) bool {
		return c.version > version && strings.HasPrefix(c.name, owner+"-")
	})
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
