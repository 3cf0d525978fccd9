// SPDX-License-Identifier: Apache-2.0

package etcdwatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/recorder/redact"
	"podtrail.dev/podtrail/trail/source"
)

// RecordingLabel on a namespace, with the value RecordingEnabled, lets the recorder keep the values of its objects,
// redacted; without it only keys, revisions, sizes and first bytes are kept. It is a label of its own because who
// wants to look into etcd need not want podtrail's webhooks, and the other way round.
const (
	RecordingLabel   = "podtrail.dev/recording"
	RecordingEnabled = "enabled"
)

// firstBytes is how much of a value's beginning is kept. In a built-in type it holds the envelope and the object's
// name, in a custom resource apiVersion and kind: nothing that a user wrote into a spec.
const firstBytes = 48

// envelope begins each value that is stored as protobuf: see runtime/serializer/protobuf in k8s.io/apimachinery.
var envelope = []byte("k8s\x00")

// object is what each stored type has in common.
type object interface {
	metav1.Object
	runtime.Object
}

// protobuf is an object that can be read from protobuf.
type protobuf interface {
	object
	Unmarshal(data []byte) error
}

// resource is a prefix of etcd that is watched.
type resource struct {
	// prefix comes after the API server's --etcd-prefix and ends with a slash.
	prefix string
	kind   string
	// empty makes an object to decode into.
	empty func() object
}

// The watched prefixes; see the storage prefixes of k8s.io/kubernetes pkg/registry/*/rest/storage_*.go.
var (
	namespaces = resource{"namespaces/", "Namespace", func() object { return &corev1.Namespace{} }}
	leases     = resource{"leases/" + corev1.NamespaceNodeLease + "/", "Lease", func() object { return &coordinationv1.Lease{} }}
	recorded   = []resource{
		{"pods/", "Pod", func() object { return &corev1.Pod{} }},
		{"deployments/", "Deployment", func() object { return &appsv1.Deployment{} }},
		{"replicasets/", "ReplicaSet", func() object { return &appsv1.ReplicaSet{} }},
		{podtrailv1alpha1.GroupVersion.Group + "/teachingreplicasets/", "TeachingReplicaSet",
			func() object { return &podtrailv1alpha1.TeachingReplicaSet{} }},
	}
)

// encodingOf says in which form a value is stored.
func encodingOf(value []byte) string {
	switch {
	case bytes.HasPrefix(value, envelope):
		return source.EncodingProtobuf
	case bytes.HasPrefix(value, []byte("{")):
		return source.EncodingJSON
	}
	return source.EncodingUnknown
}

var errEncoding = errors.New("neither protobuf nor JSON; it may be encrypted")

// decode reads a stored value; it returns the envelope's apiVersion beside the object.
func decode(value []byte, into object) (apiVersion string, err error) {
	switch encodingOf(value) {
	case source.EncodingProtobuf:
		var unknown runtime.Unknown
		if err := unknown.Unmarshal(value[len(envelope):]); err != nil {
			return "", fmt.Errorf("reading the envelope: %w", err)
		}
		typed, ok := into.(protobuf)
		if !ok {
			return "", fmt.Errorf("a %T is not stored as protobuf", into)
		}
		if err := typed.Unmarshal(unknown.Raw); err != nil {
			return "", fmt.Errorf("reading the object in the envelope: %w", err)
		}
		return unknown.APIVersion, nil
	case source.EncodingJSON:
		if err := json.Unmarshal(value, into); err != nil {
			return "", fmt.Errorf("reading the object as JSON: %w", err)
		}
		return into.GetObjectKind().GroupVersionKind().GroupVersion().String(), nil
	}
	return "", errEncoding
}

// describe turns a key and its value into what is kept of it. The value is kept only if its namespace opted in, which
// is asked with the namespace's name. A value that is neither protobuf nor JSON is kept as such, without its content.
func describe(of resource, kv *mvccpb.KeyValue, optedIn func(namespace string) bool) (source.Stored, error) {
	stored := source.Stored{
		Event: source.StoredPut, Key: string(kv.Key), CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision,
		Version: kv.Version, Size: len(kv.Value), Encoding: encodingOf(kv.Value), Kind: of.kind,
	}
	stored.Namespace, stored.Name = nameOf(of, stored.Key)
	if stored.Encoding == source.EncodingUnknown {
		return stored, nil
	}
	stored.FirstBytes = bytes.Clone(kv.Value[:min(len(kv.Value), firstBytes)])
	into := of.empty()
	apiVersion, err := decode(kv.Value, into)
	if err != nil {
		return stored, err
	}
	stored.APIVersion, stored.UID = apiVersion, string(into.GetUID())
	if owner := metav1.GetControllerOf(into); owner != nil {
		stored.Owner = &source.Subject{Kind: owner.Kind, Namespace: stored.Namespace, Name: owner.Name, UID: string(owner.UID)}
	}
	into.SetResourceVersion(strconv.FormatInt(kv.ModRevision, 10))
	opted := optedIn(stored.Namespace)
	if pod, ok := into.(*corev1.Pod); ok {
		stored.State = source.StateOf(pod)
		if !opted {
			stored.State.Failure = nil // its message is content
		}
	}
	if !opted {
		return stored, nil
	}
	into.SetManagedFields(nil)
	stored.Value, err = valueOf(into)
	return stored, err
}

// valueOf is the object as JSON, redacted.
func valueOf(into object) (json.RawMessage, error) {
	raw, err := json.Marshal(into)
	if err != nil {
		return nil, fmt.Errorf("writing the object as JSON: %w", err)
	}
	return redact.JSON(raw)
}

// nameOf reads namespace and name from the end of a key.
func nameOf(of resource, key string) (namespace, name string) {
	at := strings.Index(key, "/"+of.prefix)
	if at < 0 {
		return "", key
	}
	namespace, name, found := strings.Cut(key[at+1+len(of.prefix):], "/")
	if !found {
		return "", namespace
	}
	return namespace, name
}

// renewal reads a node's Lease.
func renewal(kv *mvccpb.KeyValue) (source.Renewal, error) {
	var lease coordinationv1.Lease
	if _, err := decode(kv.Value, &lease); err != nil {
		return source.Renewal{}, err
	}
	r := source.Renewal{Node: lease.Name, Revision: kv.ModRevision}
	if lease.Spec.HolderIdentity != nil {
		r.Holder = *lease.Spec.HolderIdentity
	}
	if lease.Spec.RenewTime != nil {
		r.RenewTime = lease.Spec.RenewTime.Time
	}
	if lease.Spec.LeaseDurationSeconds != nil {
		r.Seconds = *lease.Spec.LeaseDurationSeconds
	}
	return r, nil
}
