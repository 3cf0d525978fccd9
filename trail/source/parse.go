// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"podtrail.dev/podtrail/trail"
)

// parsers turn the records of each source into observations. A source that is added to a recorder is added here too,
// and is then read, recorded, replayed and joined like all others.
var parsers = map[string]func(Record) ([]trail.Observation, error){
	trail.SourceAudit:     ParseAudit,
	trail.SourceObject:    parseObject,
	trail.SourceEvent:     parseEvent,
	trail.SourceDecision:  ParseDecision,
	trail.SourceReconcile: ParseReconcile,
	trail.SourceSpan:      ParseSpan,
	trail.SourceEtcd:      ParseEtcd,
	trail.SourceCNI:       ParseCNI,
	trail.SourceOCI:       ParseOCI,
	trail.SourceLease:     ParseLease,
}

// Parse turns a record into the observations that it is evidence of, often none. An error means that the record is
// not of its source's form, or of a source that this version does not know.
func Parse(record Record) ([]trail.Observation, error) {
	parse := parsers[record.Source]
	if parse == nil {
		return nil, fmt.Errorf("record of source %q: this version of podtrail does not know that source", record.Source)
	}
	return parse(record)
}

// Known says whether records of the source can be parsed.
func Known(name string) bool { return parsers[name] != nil }

// parseObject turns an object, as the API served it, into observations. A Record of source "object" holds one Pod,
// Deployment, ReplicaSet or TeachingReplicaSet.
func parseObject(record Record) ([]trail.Observation, error) {
	var object struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Replicas *int32 `json:"replicas"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(record.Data, &object); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	if object.Kind == "Pod" {
		var pod corev1.Pod
		if err := json.Unmarshal(record.Data, &pod); err != nil {
			return nil, fmt.Errorf("decode Pod %s: %w", object.Name, err)
		}
		return ParsePod(&pod), nil
	}
	if object.Kind == "" || object.Name == "" {
		return nil, fmt.Errorf("object without kind or metadata.name: want both")
	}
	desired := int32(1) // the default of every workload
	if object.Spec.Replicas != nil {
		desired = *object.Spec.Replicas
	}
	return ParseWorkload(object.Kind, &object.ObjectMeta, desired), nil
}

// parseEvent turns a Record of source "event", which holds one core/v1 Event, into an observation.
func parseEvent(record Record) ([]trail.Observation, error) {
	var event corev1.Event
	if err := json.Unmarshal(record.Data, &event); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	if o, ok := ParseEvent(&event); ok {
		return []trail.Observation{o}, nil
	}
	return nil, nil
}

// decode reads a record's data.
func decode[T any](record Record) (T, error) {
	var data T
	if err := json.Unmarshal(record.Data, &data); err != nil {
		return data, fmt.Errorf("decode %s record of node %q: %w", record.Source, record.Node, err)
	}
	return data, nil
}

// known leaves out facts that the evidence does not hold.
func known(facts ...trail.Fact) []trail.Fact {
	return slices.DeleteFunc(facts, func(f trail.Fact) bool { return f.Value == "" })
}
