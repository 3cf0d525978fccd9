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

// Outcome is the result of a pass.
type Outcome struct {
	Plan Plan
	// Err is why Pods could not be created or deleted.
	Err error
	// Unknown is true if the pass ended before it tried, so an earlier failure may or may not continue.
	Unknown bool
}

// CalculateStatus returns the status after a pass. Active are the Pods that the pass observed and those that it
// created; the Pods that it deleted still count. Mirrors calculateStatus in replica_set_utils.go, which leaves new Pods
// to the next pass and so needs two writes for each change.
func CalculateStatus(o *Observation, active, terminating []*corev1.Pod, outcome Outcome) podtrailv1alpha1.TeachingReplicaSetStatus {
	owner := o.Owner
	status := podtrailv1alpha1.TeachingReplicaSetStatus{
		Replicas:            int32(len(active)),              //nolint:gosec // No namespace has so many Pods.
		TerminatingReplicas: ptr.To(int32(len(terminating))), //nolint:gosec // No namespace has so many Pods.
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
// message and time, so a message that differs each time does not cause a write each time.
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

// InvalidStatus returns the status of an owner that cannot be reconciled until its specification changes: the counts
// stay as they were.
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

// StatusChanged reports whether a status must be written.
func StatusChanged(old, updated *podtrailv1alpha1.TeachingReplicaSetStatus) bool {
	return !equality.Semantic.DeepEqual(old, updated)
}

// NextAvailability returns the time until the next ready Pod has been ready for minReadySeconds, or 0 if no Pod is
// waiting. Mirrors FindMinNextPodAvailabilityCheck in controller_utils.go. Called with the time that CalculateStatus
// used, it misses no Pod that becomes available in between.
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
