// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// ReplicaFailure is the type of the condition that is True while the controller fails to create or delete Pods, as in
// apps/v1. It is removed once a pass succeeds.
const ReplicaFailure = "ReplicaFailure"

// InvalidSelectorReason is the reason of a ReplicaFailure that only a new object can end: spec.selector is not well
// formed and immutable. The webhook refuses such an object, but only in opted-in namespaces. Upstream has no such
// reason, because the API server refuses such ReplicaSets everywhere.
const InvalidSelectorReason = "InvalidSelector"

// Reasons of the ReplicaFailure condition and of the controller's events. They are upstream's, from
// pkg/controller/controller_utils.go.
const (
	FailedCreateReason     = "FailedCreate"
	SuccessfulCreateReason = "SuccessfulCreate"
	FailedDeleteReason     = "FailedDelete"
	SuccessfulDeleteReason = "SuccessfulDelete"
)
