// SPDX-License-Identifier: Apache-2.0

// Package replicas decides what a TeachingReplicaSet needs. It is pure: what it knows comes in as arguments, the time
// included, and what it wants comes out as data. It mirrors Kubernetes' pkg/controller/replicaset and
// pkg/controller/controller_utils.go; where it is stricter, the function says so.
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

// IsActive reports whether the Pod counts: it has not finished and nobody has asked for its deletion. A replacement
// for a terminating Pod is therefore made at once. Mirrors IsPodActive in controller_utils.go.
func IsActive(pod *corev1.Pod) bool {
	return !isFinished(pod) && pod.DeletionTimestamp == nil
}

// IsTerminating reports whether the Pod is being deleted and its containers may still run. Mirrors IsPodTerminating
// in controller_utils.go.
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

// IsAvailable reports whether the Pod has been ready for minReadySeconds at the time now. Mirrors IsPodAvailable in
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

// readySince is when the Pod became ready, zero if it is not ready or does not say since when.
func readySince(pod *corev1.Pod) metav1.Time {
	if !IsReady(pod) {
		return metav1.Time{}
	}
	return readyCondition(pod).LastTransitionTime
}

// errNoLabels is what NewPod returns for a template that no selector but a negative one could match.
var errNoLabels = errors.New("the template has no labels, so the Pod could not be told from others")

// NewPod makes a Pod of the given name from the owner's template: labels, annotations, finalizers and specification
// are copied and the owner is set as controller. Mirrors GetPodFromTemplate in controller_utils.go, except that the
// name is given and not left to the API server.
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

// ControllerRef is the reference that makes owner the controller of a Pod and keeps owner, when it is deleted in the
// foreground, until the Pod is gone.
func ControllerRef(owner *podtrailv1alpha1.TeachingReplicaSet) *metav1.OwnerReference {
	return metav1.NewControllerRef(owner, podtrailv1alpha1.GroupVersion.WithKind(podtrailv1alpha1.Kind))
}
