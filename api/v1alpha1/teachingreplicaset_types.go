// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TeachingReplicaSet keeps a number of Pods running that are created from one template, as apps/v1 ReplicaSet does.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=trs,categories=all
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:printcolumn:name=Desired,type=integer,JSONPath=`.spec.replicas`
// +kubebuilder:printcolumn:name=Current,type=integer,JSONPath=`.status.replicas`
// +kubebuilder:printcolumn:name=Ready,type=integer,JSONPath=`.status.readyReplicas`
// +kubebuilder:printcolumn:name=Available,type=integer,JSONPath=`.status.availableReplicas`
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name=Containers,type=string,priority=1,JSONPath=`.spec.template.spec.containers[*].name`
// +kubebuilder:printcolumn:name=Images,type=string,priority=1,JSONPath=`.spec.template.spec.containers[*].image`
// +kubebuilder:printcolumn:name=Selector,type=string,priority=1,JSONPath=`.status.selector`
type TeachingReplicaSet struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the object's standard metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +required
	Spec TeachingReplicaSetSpec `json:"spec"`
	// status is the state that the controller last observed. It may lag behind.
	// +optional
	Status TeachingReplicaSetStatus `json:"status,omitempty"`
}

// TeachingReplicaSetSpec is apps/v1 ReplicaSetSpec, with its validation (ValidateReplicaSetSpec in Kubernetes'
// pkg/apis/apps/validation) as CEL rules, and paused.
//
// +kubebuilder:validation:XValidation:rule="!has(self.selector.matchLabels) || (has(self.template.metadata) && has(self.template.metadata.labels) && self.selector.matchLabels.all(k, k in self.template.metadata.labels && self.template.metadata.labels[k] == self.selector.matchLabels[k]))",message="selector.matchLabels does not match the template's labels; every key and value of it must be among them",fieldPath=".template.metadata.labels"
// +kubebuilder:validation:XValidation:rule="!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.operator == 'DoesNotExist' || e.operator == 'NotIn' || (has(self.template.metadata) && has(self.template.metadata.labels) && e.key in self.template.metadata.labels && (e.operator == 'Exists' || (has(e.values) && self.template.metadata.labels[e.key] in e.values))))",message="selector.matchExpressions does not match the template's labels; keys of In and Exists must be among them, with a value of In's",fieldPath=".template.metadata.labels"
// +kubebuilder:validation:XValidation:rule="!has(self.selector.matchExpressions) || !has(self.template.metadata) || !has(self.template.metadata.labels) || self.selector.matchExpressions.all(e, e.operator == 'In' || e.operator == 'Exists' || !(e.key in self.template.metadata.labels) || (e.operator == 'NotIn' && has(e.values) && !(self.template.metadata.labels[e.key] in e.values)))",message="selector.matchExpressions excludes the template's labels; keys of DoesNotExist must not be among them, nor values of NotIn",fieldPath=".template.metadata.labels"
type TeachingReplicaSetSpec struct {
	// replicas is the desired number of Pods.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// minReadySeconds is how many seconds a Pod must have been ready, without any of its containers crashing, to count as
	// available.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`

	// paused stops the controller from creating, deleting, adopting and releasing Pods. It still updates the status.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// selector selects the Pods that count and that are adopted. It must match the template's labels and is immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="an empty selector would match every Pod of the namespace; give matchLabels or matchExpressions",reason=FieldValueRequired
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="field is immutable; delete the object (orphan its Pods to keep them) and create it with the new selector"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="operator must be In or NotIn with values, or Exists or DoesNotExist without",fieldPath=".matchExpressions"
	Selector metav1.LabelSelector `json:"selector"`

	// template is the template for new Pods. A change does not affect existing Pods.
	// +required
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.restartPolicy) || self.spec.restartPolicy == 'Always'",message="only Always is supported: a Pod that finishes by itself does not count any more",fieldPath=".spec.restartPolicy"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.activeDeadlineSeconds)",message="activeDeadlineSeconds is not supported: the Pod would be killed at the deadline and replaced",fieldPath=".spec.activeDeadlineSeconds",reason=FieldValueForbidden
	Template corev1.PodTemplateSpec `json:"template"`
}

// TeachingReplicaSetStatus is apps/v1 ReplicaSetStatus, and the selector as a string for the scale subresource.
type TeachingReplicaSetStatus struct {
	// replicas is the number of Pods that have not finished and are not terminating.
	// +optional
	Replicas int32 `json:"replicas"`

	// fullyLabeledReplicas is how many of them carry every label of the template.
	// +optional
	FullyLabeledReplicas int32 `json:"fullyLabeledReplicas,omitempty"`

	// readyReplicas is how many of them are ready.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`

	// availableReplicas is how many of them have been ready for minReadySeconds.
	// +optional
	AvailableReplicas int32 `json:"availableReplicas,omitempty"`

	// terminatingReplicas is the number of Pods that have a deletionTimestamp and have not yet finished.
	// +optional
	TerminatingReplicas *int32 `json:"terminatingReplicas,omitempty"`

	// observedGeneration is the metadata.generation that this status was computed for.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// selector is spec.selector as a string, for the scale subresource, which autoscalers and disruption budgets read.
	// +optional
	Selector string `json:"selector,omitempty"`

	// conditions holds ReplicaFailure while Pods cannot be created or deleted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TeachingReplicaSetList is a list of TeachingReplicaSets.
//
// +kubebuilder:object:root=true
type TeachingReplicaSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TeachingReplicaSet `json:"items"`
}
