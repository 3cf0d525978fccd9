// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Labels and annotations that more than one part of the project reads.
const (
	// AdmissionLabelKey on a Namespace, with the value AdmissionEnabled, sends the namespace's Pods through the
	// project's webhooks.
	AdmissionLabelKey = "podtrail.dev/admission"
	// AdmissionEnabled is the only value of AdmissionLabelKey that opts a namespace in.
	AdmissionEnabled = "enabled"
)

// ReplicaFailure is the condition type that is True while the controller fails to create or delete Pods, as in
// apps/v1. It is removed once a pass succeeds.
const ReplicaFailure = "ReplicaFailure"

// InvalidSelectorReason is the reason of a ReplicaFailure that only another object can end: spec.selector is not well
// formed and cannot be changed. The webhook refuses such an object, but sees opted-in namespaces only. Upstream has no
// such reason, because its API server refuses the object everywhere.
const InvalidSelectorReason = "InvalidSelector"

// Reasons of the ReplicaFailure condition and of the controller's Events. They are upstream's, from
// pkg/controller/controller_utils.go.
const (
	FailedCreateReason     = "FailedCreate"
	SuccessfulCreateReason = "SuccessfulCreate"
	FailedDeleteReason     = "FailedDelete"
	SuccessfulDeleteReason = "SuccessfulDelete"
)
