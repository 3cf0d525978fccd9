// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
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
		template := podTemplate(meta.Name)
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
		template := podTemplate(meta.Name)
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

// podTemplate is of the size that Pods of a small web service have.
func podTemplate(app string) corev1.PodTemplateSpec {
	quantities := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("http")}}}
	variables := []corev1.EnvVar{{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
	for i := range 8 {
		variables = append(variables, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: fmt.Sprintf("https://service-%d.example.svc:8443/path", i)})
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{"app.kubernetes.io/name": app, "app.kubernetes.io/part-of": "bench"},
			Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "web", Image: "registry.example/bench/web:1.2.3", Env: variables,
				Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				Resources:      corev1.ResourceRequirements{Requests: quantities, Limits: quantities},
				ReadinessProbe: probe, LivenessProbe: probe,
				VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/web"}, {Name: "scratch", MountPath: "/tmp"}},
			}},
			Volumes: []corev1.Volume{
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web"}}}},
				{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			},
		},
	}
}

// foreignPod is a Pod that something else than the measured controllers controls.
func foreignPod(namespace string, i int) *corev1.Pod {
	template := podTemplate(fmt.Sprintf("foreign-%d", i%100))
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
