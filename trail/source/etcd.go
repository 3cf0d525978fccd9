// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"podtrail.dev/podtrail/trail"
)

// What happened to a key, in Stored.Event.
const (
	// StoredFound: it was there when the recorder began to watch.
	StoredFound = "found"
	StoredPut   = "put"
	// StoredDelete: the key is gone; of the value only the UID is still known.
	StoredDelete = "delete"
)

// Forms of a stored value, in Stored.Encoding.
const (
	// EncodingProtobuf is "k8s\x00", then a runtime.Unknown whose raw bytes are the object; built-in types have it.
	EncodingProtobuf = "protobuf"
	// EncodingJSON is that of custom resources.
	EncodingJSON = "json"
	// EncodingUnknown is any other, such as what encryption at rest leaves.
	EncodingUnknown = "unknown"
)

// Stored is one revision of one key of etcd.
type Stored struct {
	Event string `json:"event"`
	Key   string `json:"key"`
	// CreateRevision and ModRevision are etcd's; the object's resourceVersion is the mod revision. Version counts the
	// writes since the key was created. A deleted key has its mod revision alone.
	CreateRevision int64 `json:"createRevision,omitempty"`
	ModRevision    int64 `json:"modRevision"`
	Version        int64 `json:"version,omitempty"`
	// Size is the value's in bytes, FirstBytes its beginning.
	Size       int    `json:"size,omitempty"`
	FirstBytes []byte `json:"firstBytes,omitempty"`
	Encoding   string `json:"encoding,omitempty"`
	// What the envelope and the object's metadata say.
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
	// Owner is the controller's ownerReference.
	Owner *trail.Subject `json:"owner,omitempty"`
	// State is what the object's status says, for a Pod.
	State *trail.State `json:"state,omitempty"`
	// Value is the object as JSON, redacted; only of namespaces that opted in.
	Value json.RawMessage `json:"value,omitempty"`
	// Seen is when the recorder was told. Etcd does not keep when it was written.
	Seen time.Time `json:"seen"`
}

// StateOf sums up a Pod at its resourceVersion, for Stored.State.
func StateOf(pod *corev1.Pod) *trail.State { return podState(pod) }

// ParseEtcd turns one Stored into an observation of stage Persist, to be joined to the write by the object's UID and
// its resourceVersion. It has no Time, because etcd tells none.
func ParseEtcd(record Record) ([]trail.Observation, error) {
	stored, err := decode[Stored](record)
	if err != nil {
		return nil, err
	}
	if stored.Key == "" || stored.ModRevision <= 0 || stored.Kind == "" {
		return nil, fmt.Errorf("etcd record of node %q has key %q, kind %q and mod revision %d, want all of them",
			record.Node, stored.Key, stored.Kind, stored.ModRevision)
	}
	revision := strconv.FormatInt(stored.ModRevision, 10)
	o := trail.Observation{
		Subject:  trail.Subject{Kind: stored.Kind, Namespace: stored.Namespace, Name: stored.Name, UID: stored.UID},
		Owner:    stored.Owner,
		State:    stored.State,
		Keys:     trail.Keys{ResourceVersion: revision, Creates: stored.CreateRevision == stored.ModRevision},
		Stage:    trail.Persist,
		Evidence: trail.Evidence{Source: trail.SourceEtcd, Node: record.Node, ID: stored.Key + "@" + revision},
	}
	if stored.Event == StoredDelete {
		o.Summary = "key deleted at revision " + revision
		o.Facts = known(trail.Fact{Key: trail.FactEtcdKey, Value: stored.Key}, trail.Fact{Key: trail.FactModRevision, Value: revision})
		return []trail.Observation{o}, nil
	}
	o.Summary = fmt.Sprintf("etcd holds %s of %s at revision %s", Bytes(int64(stored.Size)), stored.Encoding, revision)
	o.Facts = known(
		trail.Fact{Key: trail.FactEtcdKey, Value: stored.Key},
		trail.Fact{Key: trail.FactCreateRevision, Value: strconv.FormatInt(stored.CreateRevision, 10)},
		trail.Fact{Key: trail.FactModRevision, Value: revision},
		trail.Fact{Key: "writes of the key", Value: strconv.FormatInt(stored.Version, 10)},
		trail.Fact{Key: trail.FactStoredSize, Value: strconv.Itoa(stored.Size)},
		trail.Fact{Key: trail.FactEncoding, Value: stored.Encoding},
		trail.Fact{Key: trail.FactFirstBytes, Value: hex.EncodeToString(stored.FirstBytes)},
		trail.Fact{Key: "type in the envelope", Value: typeMeta(stored)},
		trail.Fact{Key: trail.FactStoredValue, Value: string(stored.Value)},
	)
	return []trail.Observation{o}, nil
}

func typeMeta(stored Stored) string {
	if stored.APIVersion == "" {
		return ""
	}
	return stored.APIVersion + " " + stored.Kind
}
