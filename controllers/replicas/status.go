// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// Outcome is how a pass went.
type Outcome struct {
	Plan Plan
	// Err is why Pods could not be created or deleted.
	Err error
	// Unknown reports that the pass ended before it could try, so nothing is known about the failure of an earlier
	// one.
	Unknown bool
}

// Status counts the Pods that a pass has observed and, among active, those that it has made since; what it has deleted
// still counts. Mirrors calculateStatus in replica_set_utils.go, which leaves the new Pods to the next pass and so needs
// two writes for each change.
func Status(o *Observation, active, terminating []*corev1.Pod, outcome Outcome) podtrailv1alpha1.TeachingReplicaSetStatus {
	owner := o.Owner
	status := podtrailv1alpha1.TeachingReplicaSetStatus{
		Replicas:            int32(len(active)),
		TerminatingReplicas: ptr.To(int32(len(terminating))),
		ObservedGeneration:  owner.Generation,
		Selector:            o.Selector.String(),
		Conditions:          append([]metav1.Condition(nil), owner.Status.Conditions...),
	}
	template := labels.SelectorFromSet(owner.Spec.Template.Labels)
	for _, pod := range active {
		if template.Matches(labels.Set(pod.Labels)) {
			status.FullyLabeledReplicas++
		}
		if IsReady(pod) {
			status.ReadyReplicas++
		}
		if IsAvailable(pod, owner.Spec.MinReadySeconds, o.Now) {
			status.AvailableReplicas++
		}
	}
	setFailure(&status, outcome, o)
	return status
}

// setFailure sets or removes the ReplicaFailure condition. A failure that continues for the same reason keeps its
// message and time, so that a message that changes with each try does not cause a write with each try.
func setFailure(status *podtrailv1alpha1.TeachingReplicaSetStatus, outcome Outcome, o *Observation) {
	if outcome.Err == nil {
		if !outcome.Unknown && outcome.Plan.Hold != HoldPending {
			apimeta.RemoveStatusCondition(&status.Conditions, podtrailv1alpha1.ReplicaFailure)
		}
		return
	}
	condition := metav1.Condition{
		Type:               podtrailv1alpha1.ReplicaFailure,
		Status:             metav1.ConditionTrue,
		Reason:             podtrailv1alpha1.FailedCreateReason,
		Message:            Truncate(outcome.Err.Error(), maxConditionMessage),
		ObservedGeneration: o.Owner.Generation,
		LastTransitionTime: metav1.NewTime(o.Now),
	}
	if len(outcome.Plan.Delete) > 0 {
		condition.Reason = podtrailv1alpha1.FailedDeleteReason
	}
	current := apimeta.FindStatusCondition(status.Conditions, condition.Type)
	if current != nil && current.Reason == condition.Reason {
		condition.Message = current.Message
	}
	apimeta.SetStatusCondition(&status.Conditions, condition)
}

// InvalidStatus is the status of an owner that cannot be reconciled before its specification is another one: the counts
// stay what they were.
func InvalidStatus(owner *podtrailv1alpha1.TeachingReplicaSet, err error, now time.Time) podtrailv1alpha1.TeachingReplicaSetStatus {
	status := *owner.Status.DeepCopy()
	status.ObservedGeneration = owner.Generation
	apimeta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type:               podtrailv1alpha1.ReplicaFailure,
		Status:             metav1.ConditionTrue,
		Reason:             podtrailv1alpha1.InvalidSelectorReason,
		Message:            Truncate(err.Error(), maxConditionMessage),
		ObservedGeneration: owner.Generation,
		LastTransitionTime: metav1.NewTime(now),
	})
	return status
}

// StatusChanged reports whether a status has to be written.
func StatusChanged(old, updated *podtrailv1alpha1.TeachingReplicaSetStatus) bool {
	return !equality.Semantic.DeepEqual(old, updated)
}

// NextAvailability is in how long the first of the Pods that are ready will have been so for minReadySeconds; 0 if
// none is waiting. Mirrors FindMinNextPodAvailabilityCheck in controller_utils.go. Called with the time that Status
// counted with, it misses no Pod that becomes available in between.
func NextAvailability(active []*corev1.Pod, minReadySeconds int32, now time.Time) time.Duration {
	var next time.Duration
	for _, pod := range active {
		since := readySince(pod)
		if minReadySeconds <= 0 || since.IsZero() {
			continue
		}
		wait := since.Add(time.Duration(minReadySeconds) * time.Second).Sub(now)
		if wait > 0 && (next == 0 || wait < next) {
			next = wait
		}
	}
	return next
}
