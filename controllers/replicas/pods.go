// SPDX-License-Identifier: Apache-2.0

// Package replicas decides what a TeachingReplicaSet needs. It is pure: everything it knows comes in as arguments, the
// time included, and its decisions are returned as data. It mirrors Kubernetes' pkg/controller/replicaset and
// pkg/controller/controller_utils.go. Functions that are stricter say so.
package replicas

import (
	"errors"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// IsActive reports whether the Pod counts: it has not finished and is not being deleted. A terminating Pod is therefore
// replaced at once. Mirrors IsPodActive in controller_utils.go.
func IsActive(pod *corev1.Pod) bool {
	return !isFinished(pod) && pod.DeletionTimestamp == nil
}

// IsTerminating reports whether the Pod is being deleted and its containers may still run. Mirrors IsPodTerminating in
// controller_utils.go.
func IsTerminating(pod *corev1.Pod) bool {
	return !isFinished(pod) && pod.DeletionTimestamp != nil
}

func isFinished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// IsReady reports whether the Pod's Ready condition is True.
func IsReady(pod *corev1.Pod) bool {
	condition := readyCondition(pod)
	return condition != nil && condition.Status == corev1.ConditionTrue
}

// IsAvailable reports whether, at the time now, the Pod has been ready for minReadySeconds. Mirrors IsPodAvailable in
// pkg/api/v1/pod/util.go.
func IsAvailable(pod *corev1.Pod, minReadySeconds int32, now time.Time) bool {
	if !IsReady(pod) {
		return false
	}
	if minReadySeconds == 0 {
		return true
	}
	since := readyCondition(pod).LastTransitionTime
	return !since.IsZero() && !since.Add(time.Duration(minReadySeconds)*time.Second).After(now)
}

func readyCondition(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// readySince returns when the Pod became ready, or zero if it is not ready or its condition has no transition time.
func readySince(pod *corev1.Pod) metav1.Time {
	if !IsReady(pod) {
		return metav1.Time{}
	}
	return readyCondition(pod).LastTransitionTime
}

// errNoLabels is what NewPod returns for a template that only a negative selector could match.
var errNoLabels = errors.New("the template has no labels, so no selector could tell its Pods from others")

// NewPod returns a Pod with the given name from the owner's template: it copies the labels, annotations, finalizers and
// specification, and sets the owner as controller. Mirrors GetPodFromTemplate in controller_utils.go, which leaves the
// name to the API server.
func NewPod(owner *podtrailv1alpha1.TeachingReplicaSet, name string) (*corev1.Pod, error) {
	template := &owner.Spec.Template
	if len(template.Labels) == 0 {
		return nil, errNoLabels
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name,
			Namespace:       owner.Namespace,
			Labels:          maps.Clone(template.Labels),
			Annotations:     maps.Clone(template.Annotations),
			Finalizers:      slices.Clone(template.Finalizers),
			OwnerReferences: []metav1.OwnerReference{*ControllerRef(owner)},
		},
		Spec: *template.Spec.DeepCopy(),
	}, nil
}

// ControllerRef returns the reference that makes owner the controller of a Pod and that, when owner is deleted in the
// foreground, keeps owner until the Pod is gone.
func ControllerRef(owner *podtrailv1alpha1.TeachingReplicaSet) *metav1.OwnerReference {
	return metav1.NewControllerRef(owner, podtrailv1alpha1.GroupVersion.WithKind(podtrailv1alpha1.Kind))
}
