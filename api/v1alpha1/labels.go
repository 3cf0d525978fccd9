// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// The labels and annotations of podtrail. All parts, and the manifests in config, use these.
const (
	// AdmissionLabelKey on a Namespace, with the value AdmissionEnabled, sends the namespace's Pods through podtrail's
	// webhooks. On a Pod in such a namespace, with the value AdmissionDisabled, it keeps the Pod as it is.
	AdmissionLabelKey = "podtrail.dev/admission"
	AdmissionEnabled  = "enabled"
	AdmissionDisabled = "disabled"

	// InjectedAnnotationKey on a Pod holds, as JSON, what the mutating webhook changed and which version of it did so.
	InjectedAnnotationKey = "podtrail.dev/injected"

	// RecordingLabelKey on a Namespace, with the value RecordingEnabled, lets the recorder keep the values that etcd
	// stores for the namespace's objects, redacted. Without it the recorder keeps only keys, revisions, sizes and first
	// bytes. It is independent of AdmissionLabelKey, because who wants to look into etcd need not want the webhooks.
	RecordingLabelKey = "podtrail.dev/recording"
	RecordingEnabled  = "enabled"

	// DecisionsLabelKey on a Namespace, with the value DecisionsEnabled, lets the scheduler record its decisions about the
	// namespace's Pods.
	DecisionsLabelKey = "podtrail.dev/decisions"
	DecisionsEnabled  = "enabled"

	// HoldAtAnnotationKey on a Pod, with the value HoldAtPermit, makes the scheduler hold the Pod in Permit until the
	// annotation is removed or the time for it is over.
	HoldAtAnnotationKey = "podtrail.dev/hold-at"
	HoldAtPermit        = "permit"

	// RecorderOfLabelKey on a recorder's Pod distinguishes the recorders of control planes, which have the audit log and
	// etcd, from those of other nodes.
	RecorderOfLabelKey     = "podtrail.dev/recorder-of"
	RecorderOfControlPlane = "control-plane"
	RecorderOfNode         = "node"
)
