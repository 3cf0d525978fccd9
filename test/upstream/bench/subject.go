// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/upstream/bench/workload"
)

// report is what an owner's status says of the generation that the owner has.
type report struct {
	observed        bool
	replicas, ready int
}

// kind is what a side reconciles.
type kind struct {
	// empty is an object without a name, to make an informer or to delete all.
	empty  client.Object
	make   func(meta metav1.ObjectMeta, replicas int32) client.Object
	report func(obj client.Object) report
}

var replicaSets = kind{
	empty: &appsv1.ReplicaSet{},
	make: func(meta metav1.ObjectMeta, replicas int32) client.Object {
		template := workload.PodTemplate(meta.Name)
		return &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template,
		}}
	},
	report: func(obj client.Object) report {
		set, ok := obj.(*appsv1.ReplicaSet)
		if !ok {
			return report{}
		}
		return report{
			observed: set.Status.ObservedGeneration == set.Generation,
			replicas: int(set.Status.Replicas), ready: int(set.Status.ReadyReplicas),
		}
	},
}

var teachingReplicaSets = kind{
	empty: &podtrailv1alpha1.TeachingReplicaSet{},
	make: func(meta metav1.ObjectMeta, replicas int32) client.Object {
		template := workload.PodTemplate(meta.Name)
		return &podtrailv1alpha1.TeachingReplicaSet{ObjectMeta: meta, Spec: podtrailv1alpha1.TeachingReplicaSetSpec{
			Replicas: &replicas, Selector: metav1.LabelSelector{MatchLabels: template.Labels}, Template: template,
		}}
	},
	report: func(obj client.Object) report {
		set, ok := obj.(*podtrailv1alpha1.TeachingReplicaSet)
		if !ok {
			return report{}
		}
		return report{
			observed: set.Status.ObservedGeneration == set.Generation,
			replicas: int(set.Status.Replicas), ready: int(set.Status.ReadyReplicas),
		}
	},
}

// foreignPod is a Pod that something else than the measured controllers controls.
func foreignPod(namespace string, i int) *corev1.Pod {
	template := workload.PodTemplate(fmt.Sprintf("foreign-%d", i%100))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("foreign-%05d", i), Labels: template.Labels, Annotations: template.Annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "StatefulSet", Name: "foreign", UID: types.UID("00000000-0000-0000-0000-000000000001"),
				Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
			}},
		},
		Spec: template.Spec,
	}
}

// setReady gives a Pod the status that a kubelet writes when its container is ready.
func setReady(pod *corev1.Pod) {
	now := metav1.Now()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.StartTime = &now
	pod.Status.Conditions = nil
	for _, condition := range []corev1.PodConditionType{
		corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	} {
		pod.Status.Conditions = append(pod.Status.Conditions,
			corev1.PodCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "web", Image: "registry.example/bench/web:1.2.3", Ready: true, Started: ptr.To(true),
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
	}}
}
