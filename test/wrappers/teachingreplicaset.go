// SPDX-License-Identifier: Apache-2.0

// Package wrappers builds test objects: Make…, then one method for each thing that matters to the test, then Obj.
package wrappers

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// TeachingReplicaSetWrapper builds a TeachingReplicaSet.
type TeachingReplicaSetWrapper struct {
	obj *podtrailv1alpha1.TeachingReplicaSet
}

// MakeTeachingReplicaSet starts with one replica, the selector and template labels app=name, and one container.
func MakeTeachingReplicaSet(namespace, name string) *TeachingReplicaSetWrapper {
	labels := map[string]string{"app": name}
	return &TeachingReplicaSetWrapper{obj: &podtrailv1alpha1.TeachingReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: podtrailv1alpha1.TeachingReplicaSetSpec{
			Replicas: ptr.To[int32](1),
			Selector: metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
				Spec:       podSpec(),
			},
		},
	}}
}

// podSpec is the smallest that an API server accepts. It asks the API server not to mount a token, because a test
// control plane makes no service accounts.
func podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		AutomountServiceAccountToken: ptr.To(false),
		Containers:                   []corev1.Container{{Name: "app", Image: "registry.example/app:1"}},
	}
}

// Obj returns the object.
func (w *TeachingReplicaSetWrapper) Obj() *podtrailv1alpha1.TeachingReplicaSet { return w.obj }

// UID sets metadata.uid.
func (w *TeachingReplicaSetWrapper) UID(uid string) *TeachingReplicaSetWrapper {
	w.obj.UID = types.UID(uid)
	return w
}

// Generation sets metadata.generation.
func (w *TeachingReplicaSetWrapper) Generation(generation int64) *TeachingReplicaSetWrapper {
	w.obj.Generation = generation
	return w
}

// ResourceVersion sets metadata.resourceVersion.
func (w *TeachingReplicaSetWrapper) ResourceVersion(version string) *TeachingReplicaSetWrapper {
	w.obj.ResourceVersion = version
	return w
}

// Deleted sets the deletionTimestamp.
func (w *TeachingReplicaSetWrapper) Deleted(at time.Time) *TeachingReplicaSetWrapper {
	w.obj.DeletionTimestamp = ptr.To(metav1.NewTime(at))
	return w
}

// Controller sets another object as the controller.
func (w *TeachingReplicaSetWrapper) Controller(kind, name, uid string) *TeachingReplicaSetWrapper {
	w.obj.OwnerReferences = append(w.obj.OwnerReferences, controllerRef("apps/v1", kind, name, uid))
	return w
}

// Replicas sets spec.replicas.
func (w *TeachingReplicaSetWrapper) Replicas(n int32) *TeachingReplicaSetWrapper {
	w.obj.Spec.Replicas = &n
	return w
}

// Paused sets spec.paused.
func (w *TeachingReplicaSetWrapper) Paused() *TeachingReplicaSetWrapper {
	w.obj.Spec.Paused = true
	return w
}

// MinReadySeconds sets spec.minReadySeconds.
func (w *TeachingReplicaSetWrapper) MinReadySeconds(n int32) *TeachingReplicaSetWrapper {
	w.obj.Spec.MinReadySeconds = n
	return w
}

// Selector replaces spec.selector.
func (w *TeachingReplicaSetWrapper) Selector(selector metav1.LabelSelector) *TeachingReplicaSetWrapper {
	w.obj.Spec.Selector = selector
	return w
}

// TemplateLabels replaces the template's labels.
func (w *TeachingReplicaSetWrapper) TemplateLabels(labels map[string]string) *TeachingReplicaSetWrapper {
	w.obj.Spec.Template.Labels = labels
	return w
}

// TemplateAnnotation adds an annotation to the template.
func (w *TeachingReplicaSetWrapper) TemplateAnnotation(key, value string) *TeachingReplicaSetWrapper {
	metav1.SetMetaDataAnnotation(&w.obj.Spec.Template.ObjectMeta, key, value)
	return w
}

// TemplateFinalizer adds a finalizer to the template.
func (w *TeachingReplicaSetWrapper) TemplateFinalizer(finalizer string) *TeachingReplicaSetWrapper {
	w.obj.Spec.Template.Finalizers = append(w.obj.Spec.Template.Finalizers, finalizer)
	return w
}

// Template changes the template's Pod specification.
func (w *TeachingReplicaSetWrapper) Template(change func(*corev1.PodSpec)) *TeachingReplicaSetWrapper {
	change(&w.obj.Spec.Template.Spec)
	return w
}

// Status sets the status.
func (w *TeachingReplicaSetWrapper) Status(status podtrailv1alpha1.TeachingReplicaSetStatus) *TeachingReplicaSetWrapper {
	w.obj.Status = status
	return w
}

func controllerRef(apiVersion, kind, name, uid string) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: apiVersion, Kind: kind, Name: name, UID: types.UID(uid),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}
