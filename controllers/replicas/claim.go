// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Claims holds the Pods that an owner saw, by what they are to it. Each Pod is in one list; each list keeps the order
// of the observation.
type Claims struct {
	// Active holds the active Pods that the owner controls and selects.
	Active []*corev1.Pod
	// Adopt holds the active Pods without a controller that the owner selects.
	Adopt []*corev1.Pod
	// Release holds the active Pods that the owner controls and no longer selects.
	Release []*corev1.Pod
	// Terminating holds the owner's Pods that are being deleted. They are reported and do not count.
	Terminating []*corev1.Pod
	// Finished holds the owner's Pods that succeeded or failed. They do not count and are never deleted.
	Finished []*corev1.Pod
	// Ignored holds all other Pods: another owner's, orphans that the selector does not match, and those that a paused or
	// deleted owner leaves as they are.
	Ignored []*corev1.Pod
}

// ClaimPods sorts the observed Pods by what they are to the owner. Mirrors ClaimObject in controller_ref_manager.go and
// its caller in replica_set.go, which passes it only active Pods.
func ClaimPods(o *Observation) *Claims {
	claims := &Claims{}
	for _, pod := range o.Pods {
		list := claims.listFor(o, pod)
		*list = append(*list, pod)
	}
	return claims
}

// listFor returns the list that a Pod belongs to. What identifies the owner is its UID: a Pod of an earlier object with
// the same name is another owner's.
func (c *Claims) listFor(o *Observation, pod *corev1.Pod) *[]*corev1.Pod {
	controller := metav1.GetControllerOfNoCopy(pod)
	if controller == nil {
		return c.listForOrphan(o, pod)
	}
	if controller.UID != o.Owner.UID {
		return &c.Ignored
	}
	selected := o.Selector.Matches(labels.Set(pod.Labels))
	switch {
	case selected && IsActive(pod):
		return &c.Active
	case selected && IsTerminating(pod):
		return &c.Terminating
	case selected:
		return &c.Finished
	case IsActive(pod) && mayClaim(o):
		return &c.Release
	default:
		return &c.Ignored
	}
}

// listForOrphan returns the list that a Pod without a controller belongs to.
func (c *Claims) listForOrphan(o *Observation, pod *corev1.Pod) *[]*corev1.Pod {
	if mayClaim(o) && IsActive(pod) && pod.Namespace == o.Owner.Namespace && o.Selector.Matches(labels.Set(pod.Labels)) {
		return &c.Adopt
	}
	return &c.Ignored
}

// mayClaim reports whether the owner may change who controls a Pod.
func mayClaim(o *Observation) bool {
	return o.Owner.DeletionTimestamp == nil && !o.Owner.Spec.Paused
}
