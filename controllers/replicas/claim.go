// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Verdict says what a Pod is to an owner.
type Verdict string

const (
	// Counted is an active Pod that the owner controls and selects.
	Counted Verdict = "Counted"
	// Adopt is an active Pod without a controller that the owner selects.
	Adopt Verdict = "Adopt"
	// Release is an active Pod that the owner controls and no longer selects.
	Release Verdict = "Release"
	// Terminating is a Pod of the owner that is being deleted. It is reported and not counted.
	Terminating Verdict = "Terminating"
	// Finished is a Pod of the owner that succeeded or failed. It is not counted and never deleted.
	Finished Verdict = "Finished"
	// Ignored is every other Pod: another owner's, an orphan that the selector does not match, or one that a paused
	// or deleted owner leaves as it is.
	Ignored Verdict = "Ignored"
)

// Claims holds the Pods that an owner saw, by what they are to it. Each list keeps the order of the observation.
type Claims map[Verdict][]*corev1.Pod

// Claim judges every observed Pod. Mirrors ClaimObject in controller_ref_manager.go and its caller in
// replica_set.go, which shows it active Pods only.
func Claim(o *Observation) Claims {
	claims := Claims{}
	for _, pod := range o.Pods {
		verdict := Judge(o, pod)
		claims[verdict] = append(claims[verdict], pod)
	}
	return claims
}

// Judge says what one Pod is to the observation's owner. Identity is the owner's UID: a Pod of an earlier object of
// the same name is another owner's.
func Judge(o *Observation, pod *corev1.Pod) Verdict {
	controller := metav1.GetControllerOfNoCopy(pod)
	if controller == nil {
		return judgeOrphan(o, pod)
	}
	if controller.UID != o.Owner.UID {
		return Ignored
	}
	selected := o.Selector.Matches(labels.Set(pod.Labels))
	switch {
	case selected && IsActive(pod):
		return Counted
	case selected && IsTerminating(pod):
		return Terminating
	case selected:
		return Finished
	case IsActive(pod) && mayClaim(o):
		return Release
	default:
		return Ignored
	}
}

func judgeOrphan(o *Observation, pod *corev1.Pod) Verdict {
	if mayClaim(o) && IsActive(pod) && pod.Namespace == o.Owner.Namespace &&
		o.Selector.Matches(labels.Set(pod.Labels)) {
		return Adopt
	}
	return Ignored
}

// mayClaim reports whether the owner may change who controls a Pod.
func mayClaim(o *Observation) bool {
	return o.Owner.DeletionTimestamp == nil && !o.Owner.Spec.Paused
}
