// SPDX-License-Identifier: Apache-2.0

package wrappers

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// PodWrapper builds a Pod.
type PodWrapper struct {
	obj *corev1.Pod
}

// MakePod starts with one container and nothing else.
func MakePod(namespace, name string) *PodWrapper {
	return &PodWrapper{obj: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       podSpec(),
	}}
}

// Obj returns the Pod.
func (w *PodWrapper) Obj() *corev1.Pod { return w.obj }

// UID sets metadata.uid.
func (w *PodWrapper) UID(uid string) *PodWrapper {
	w.obj.UID = types.UID(uid)
	return w
}

// ResourceVersion sets metadata.resourceVersion.
func (w *PodWrapper) ResourceVersion(version string) *PodWrapper {
	w.obj.ResourceVersion = version
	return w
}

// Label adds a label.
func (w *PodWrapper) Label(key, value string) *PodWrapper {
	metav1.SetMetaDataLabel(&w.obj.ObjectMeta, key, value)
	return w
}

// Annotation adds an annotation.
func (w *PodWrapper) Annotation(key, value string) *PodWrapper {
	metav1.SetMetaDataAnnotation(&w.obj.ObjectMeta, key, value)
	return w
}

// Finalizer adds a finalizer.
func (w *PodWrapper) Finalizer(finalizer string) *PodWrapper {
	w.obj.Finalizers = append(w.obj.Finalizers, finalizer)
	return w
}

// Of makes a Pod that owner controls and whose template's labels it has.
func (w *PodWrapper) Of(owner *podtrailv1alpha1.TeachingReplicaSet) *PodWrapper {
	for key, value := range owner.Spec.Template.Labels {
		w.Label(key, value)
	}
	return w.ControlledBy(podtrailv1alpha1.GroupVersion.String(), podtrailv1alpha1.Kind, owner.Name, string(owner.UID))
}

// ControlledBy adds a controller reference.
func (w *PodWrapper) ControlledBy(apiVersion, kind, name, uid string) *PodWrapper {
	w.obj.OwnerReferences = append(w.obj.OwnerReferences, controllerRef(apiVersion, kind, name, uid))
	return w
}

// Deleted sets the deletionTimestamp.
func (w *PodWrapper) Deleted(at time.Time) *PodWrapper {
	w.obj.DeletionTimestamp = ptr.To(metav1.NewTime(at))
	return w
}

// Created sets the creationTimestamp.
func (w *PodWrapper) Created(at time.Time) *PodWrapper {
	w.obj.CreationTimestamp = metav1.NewTime(at)
	return w
}

// Node sets spec.nodeName.
func (w *PodWrapper) Node(name string) *PodWrapper {
	w.obj.Spec.NodeName = name
	return w
}

// Phase sets status.phase.
func (w *PodWrapper) Phase(phase corev1.PodPhase) *PodWrapper {
	w.obj.Status.Phase = phase
	return w
}

// Ready makes the Pod Running and ready since a time.
func (w *PodWrapper) Ready(since time.Time) *PodWrapper {
	w.obj.Status.Conditions = append(w.obj.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since),
	})
	return w.Phase(corev1.PodRunning)
}

// Restarts adds a container status.
func (w *PodWrapper) Restarts(container string, count int32) *PodWrapper {
	w.obj.Status.ContainerStatuses = append(w.obj.Status.ContainerStatuses,
		corev1.ContainerStatus{Name: container, RestartCount: count})
	return w
}

// SidecarRestarts adds an init container that restarts always, and its status.
func (w *PodWrapper) SidecarRestarts(container string, count int32) *PodWrapper {
	w.obj.Spec.InitContainers = append(w.obj.Spec.InitContainers, corev1.Container{
		Name: container, Image: "registry.example/sidecar:1", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
	})
	w.obj.Status.InitContainerStatuses = append(w.obj.Status.InitContainerStatuses,
		corev1.ContainerStatus{Name: container, RestartCount: count})
	return w
}
