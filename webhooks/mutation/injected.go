// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// Injected is the content of the annotation podtrail.dev/injected, as JSON: what the webhook did to the Pod. Fields of
// what it did not do are absent.
type Injected struct {
	// Version is that of the webhook that made the last change.
	Version string `json:"version"`
	// Sidecar is the name of the container that was added.
	Sidecar string `json:"sidecar,omitempty"`
	// Port is where the sidecar listens.
	Port int32 `json:"port,omitempty"`
	// Target is the app's port that the sidecar forwards to.
	Target int32 `json:"target,omitempty"`
	// SchedulerName is the scheduler that was set.
	SchedulerName string `json:"schedulerName,omitempty"`
}

// readInjected returns the content of the Pod's annotation, without what does not agree with the Pod: people copy and
// edit annotations, and a copied one must not claim changes that were not made to this Pod. It returns an empty
// Injected if the annotation is absent or malformed.
func readInjected(pod *corev1.Pod) Injected {
	var injected Injected
	if err := json.Unmarshal([]byte(pod.Annotations[podtrailv1alpha1.InjectedAnnotationKey]), &injected); err != nil {
		return Injected{}
	}
	if !hasContainer(pod, SidecarName) {
		injected.Sidecar, injected.Port, injected.Target = "", 0, 0
	}
	if injected.SchedulerName != pod.Spec.SchedulerName {
		injected.SchedulerName = ""
	}
	return injected
}

// String returns the JSON form.
func (i Injected) String() string {
	text, err := json.Marshal(i)
	if err != nil {
		return "{}" // never: a struct of strings and integers always marshals
	}
	return string(text)
}
