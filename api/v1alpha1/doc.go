// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the API of TeachingReplicaSet: apps/v1 ReplicaSet's specification and status, field by
// field, as a custom resource whose controller readers can change.
//
// The CustomResourceDefinition in config/crd/bases is made from the markers in this package. `make manifests` runs
// controller-gen and then hack/bound-crd, which sets the bounds inside metav1.LabelSelector and the template's labels
// that markers cannot reach and without which the API server refuses the CEL rules as too costly.
//
// +kubebuilder:object:generate=true
// +groupName=apps.podtrail.dev
package v1alpha1
