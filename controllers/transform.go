// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CacheByObject configures how the manager's cache stores the objects that this controller reads: of a Pod only the
// fields that it uses. Pass it as cache.Options.ByObject to the manager. Never write a Pod from such a cache back as a
// whole.
func CacheByObject() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{&corev1.Pod{}: {Transform: trimPod}}
}

// trimPod reduces a Pod to the fields that claim, rank and status read. A Pod whose controller is not a
// TeachingReplicaSet is reduced to its identity: it matters only because it holds its name. If it becomes an orphan,
// that update brings the other fields back.
func trimPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	trimmed := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:              pod.Name,
			Namespace:         pod.Namespace,
			UID:               pod.UID,
			ResourceVersion:   pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp,
			DeletionTimestamp: pod.DeletionTimestamp,
		},
	}
	if ref := metav1.GetControllerOf(pod); ref != nil {
		trimmed.OwnerReferences = []metav1.OwnerReference{*ref}
		if !isOwnKind(ref) {
			return trimmed, nil
		}
	}
	trimmed.Labels = pod.Labels
	if cost, ok := pod.Annotations[corev1.PodDeletionCost]; ok {
		trimmed.Annotations = map[string]string{corev1.PodDeletionCost: cost}
	}
	trimmed.Spec.NodeName = pod.Spec.NodeName
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil {
			trimmed.Spec.InitContainers = append(trimmed.Spec.InitContainers,
				corev1.Container{Name: c.Name, RestartPolicy: c.RestartPolicy})
		}
	}
	trimmed.Status.Phase = pod.Status.Phase
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			trimmed.Status.Conditions = []corev1.PodCondition{
				{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime},
			}
		}
	}
	trimmed.Status.ContainerStatuses = trimStatuses(pod.Status.ContainerStatuses)
	trimmed.Status.InitContainerStatuses = trimStatuses(pod.Status.InitContainerStatuses)
	return trimmed, nil
}

// trimStatuses keeps the restart counts of the containers that have restarted.
func trimStatuses(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	var trimmed []corev1.ContainerStatus
	for i := range statuses {
		if statuses[i].RestartCount > 0 {
			trimmed = append(trimmed,
				corev1.ContainerStatus{Name: statuses[i].Name, RestartCount: statuses[i].RestartCount})
		}
	}
	return trimmed
}
