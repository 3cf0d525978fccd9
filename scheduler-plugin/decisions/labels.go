// SPDX-License-Identifier: Apache-2.0

package decisions

// NamespaceLabelKey is the label of a namespace that asks, with the value NamespaceLabelValue, to record the decisions
// about its Pods.
const (
	NamespaceLabelKey   = "podtrail.dev/decisions"
	NamespaceLabelValue = "enabled"
)

// HoldAnnotationKey is the annotation of a Pod that asks, with the value HoldAtPermit, to wait in Permit until the
// annotation is removed or the time is up.
const (
	HoldAnnotationKey = "podtrail.dev/hold-at"
	HoldAtPermit      = "permit"
)
