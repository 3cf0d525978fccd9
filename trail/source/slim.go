// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"podtrail.dev/podtrail/trail"
)

// ObjectRecord makes the record of an object as the API serves it now. It keeps what a trail uses and nothing else: no
// environment, no command, no annotation and no owned fields of the object can reach a recording through it.
func ObjectRecord(kind string, raw []byte) (Record, error) {
	var object struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Replicas      *int32 `json:"replicas,omitempty"`
			NodeName      string `json:"nodeName,omitempty"`
			SchedulerName string `json:"schedulerName,omitempty"`
		} `json:"spec"`
		// Only a Pod's is kept: that of a workload has fields of the same names and other types.
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return Record{}, fmt.Errorf("decode %s: %w", kind, err)
	}
	slim := map[string]any{"kind": kind, "metadata": slimMeta(&object.ObjectMeta), "spec": object.Spec}
	if kind == "Pod" && len(object.Status) > 0 {
		slim["status"] = object.Status
	}
	data, err := json.Marshal(slim)
	if err != nil {
		return Record{}, fmt.Errorf("encode %s %s: %w", kind, object.Name, err)
	}
	return Record{Source: trail.SourceObject, Data: data}, nil
}

func slimMeta(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{
		Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion,
		Generation: meta.Generation, CreationTimestamp: meta.CreationTimestamp, DeletionTimestamp: meta.DeletionTimestamp,
		Labels: meta.Labels, OwnerReferences: meta.OwnerReferences,
	}
	for _, entry := range meta.ManagedFields {
		entry.FieldsV1 = nil
		out.ManagedFields = append(out.ManagedFields, entry)
	}
	return out
}

// EventRecord makes the record of an event of the API.
func EventRecord(event *corev1.Event) (Record, error) {
	slim := event.DeepCopy()
	slim.ManagedFields = nil
	data, err := json.Marshal(slim)
	if err != nil {
		return Record{}, fmt.Errorf("encode event %s: %w", event.Name, err)
	}
	return Record{Source: trail.SourceEvent, Data: data}, nil
}
