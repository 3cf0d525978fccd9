// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
)

// Record is the content of the annotation podtrail.dev/injected, as JSON: what
// the webhook did to the Pod. Fields of things not done are absent.
type Record struct {
	// Version of the webhook that made the last change.
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

// readRecord returns what the Pod's Record says and the Pod still bears out:
// people copy and edit annotations, and a copied one must not claim changes that
// this Pod never saw. Without the annotation, or with one that is not ours to
// read, it returns an empty Record.
func readRecord(pod *corev1.Pod) Record {
	var rec Record
	if err := json.Unmarshal([]byte(pod.Annotations[InjectedAnnotationKey]), &rec); err != nil {
		return Record{}
	}
	if !hasContainer(pod, SidecarName) {
		rec.Sidecar, rec.Port, rec.Target = "", 0, 0
	}
	if rec.SchedulerName != pod.Spec.SchedulerName {
		rec.SchedulerName = ""
	}
	return rec
}

// String returns the JSON form.
func (r Record) String() string {
	// A struct of strings and integers always marshals.
	b, _ := json.Marshal(r)
	return string(b)
}
