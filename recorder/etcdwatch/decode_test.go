// SPDX-License-Identifier: Apache-2.0

package etcdwatch

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/mvccpb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"podtrail.dev/podtrail/trail/source"
)

// hidden is a value that no record may hold.
const hidden = "correct-horse-battery-staple"

// stored writes an object as the API server stores built-in types.
func stored(t testing.TB, apiVersion, kind string, o interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	raw, err := o.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: raw}
	value, err := unknown.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte("k8s\x00"), value...)
}

func pod() *corev1.Pod {
	controller := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-1", Namespace: "demo", UID: "u",
			ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web", UID: "o", Controller: &controller}},
			Annotations:     map[string]string{corev1.LastAppliedConfigAnnotation: `{"spec":{"containers":[{"env":[{"name":"A","value":"` + hidden + `"}]}]}}`},
		},
		Spec:   corev1.PodSpec{NodeName: "worker", Containers: []corev1.Container{{Name: "app", Env: []corev1.EnvVar{{Name: "A", Value: hidden}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
}

const trsJSON = `{"apiVersion":"apps.podtrail.dev/v1alpha1","kind":"TeachingReplicaSet","metadata":{"name":"web","namespace":"demo","uid":"t"},"spec":{"replicas":3}}`

func TestDescribe(t *testing.T) {
	pods, sets := recorded[0], recorded[3]
	podValue := stored(t, "v1", "Pod", pod())
	tests := map[string]struct {
		of        resource
		kv        mvccpb.KeyValue
		optedIn   bool
		want      source.Stored
		wantValue string
		wantError string
	}{
		"a Pod of a namespace that did not opt in": {
			of: pods, kv: mvccpb.KeyValue{Key: []byte("/registry/pods/demo/web-1"), CreateRevision: 7, ModRevision: 9, Version: 2, Value: podValue},
			want: source.Stored{
				Event: source.StoredPut, Key: "/registry/pods/demo/web-1", CreateRevision: 7, ModRevision: 9, Version: 2,
				Size: len(podValue), FirstBytes: podValue[:firstBytes], Encoding: source.EncodingProtobuf, APIVersion: "v1",
				Kind: "Pod", Namespace: "demo", Name: "web-1", UID: "u",
				Owner: &source.Subject{Kind: "ReplicaSet", Namespace: "demo", Name: "web", UID: "o"},
				State: &source.State{ResourceVersion: "9", Node: "worker", Phase: "Pending"},
			},
		},
		"our custom resource, which is stored as JSON, of one that did": {
			of: sets, optedIn: true, kv: mvccpb.KeyValue{Key: []byte("/registry/apps.podtrail.dev/teachingreplicasets/demo/web"), ModRevision: 3, Value: []byte(trsJSON)},
			want: source.Stored{
				Event: source.StoredPut, Key: "/registry/apps.podtrail.dev/teachingreplicasets/demo/web", ModRevision: 3,
				Size: len(trsJSON), FirstBytes: []byte(trsJSON[:firstBytes]), Encoding: source.EncodingJSON,
				APIVersion: "apps.podtrail.dev/v1alpha1", Kind: "TeachingReplicaSet", Namespace: "demo", Name: "web", UID: "t",
			},
			wantValue: `"replicas":3`,
		},
		"a value that is encrypted": {
			of: pods, optedIn: true, kv: mvccpb.KeyValue{Key: []byte("/registry/pods/demo/web-1"), ModRevision: 9, Value: []byte("k8s:enc:aescbc:v1:" + hidden)},
			want: source.Stored{
				Event: source.StoredPut, Key: "/registry/pods/demo/web-1", ModRevision: 9, Size: 18 + len(hidden),
				Encoding: source.EncodingUnknown, Kind: "Pod", Namespace: "demo", Name: "web-1",
			},
		},
		"a value that is cut off": {
			of: pods, optedIn: true, kv: mvccpb.KeyValue{Key: []byte("/registry/pods/demo/web-1"), ModRevision: 9, Value: podValue[:len(podValue)-1]},
			want: source.Stored{
				Event: source.StoredPut, Key: "/registry/pods/demo/web-1", ModRevision: 9, Size: len(podValue) - 1, FirstBytes: podValue[:firstBytes],
				Encoding: source.EncodingProtobuf, Kind: "Pod", Namespace: "demo", Name: "web-1",
			},
			wantError: "envelope",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := describe(tc.of, &tc.kv, func(string) bool { return tc.optedIn })
			if (err != nil) != (tc.wantError != "") || err != nil && !strings.Contains(err.Error(), tc.wantError) {
				t.Errorf("error %v, want %q in it", err, tc.wantError)
			}
			if !strings.Contains(string(got.Value), tc.wantValue) || (tc.wantValue == "") != (got.Value == nil) {
				t.Errorf("value %s, want %q in it, or none", got.Value, tc.wantValue)
			}
			got.Value = nil
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAKeptValueShowsNoEnvironment(t *testing.T) {
	kv := &mvccpb.KeyValue{Key: []byte("/registry/pods/demo/web-1"), ModRevision: 9, Value: stored(t, "v1", "Pod", pod())}
	got, err := describe(recorded[0], kv, func(namespace string) bool { return namespace == "demo" })
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), hidden) || strings.Contains(string(got.Value), "managedFields") {
		t.Errorf("kept %s, want neither the environment's values nor managedFields", data)
	}
	if !strings.Contains(string(got.Value), `"name":"A","value":"<redacted>"`) || !strings.Contains(string(got.Value), `"resourceVersion":"9"`) {
		t.Errorf("kept %s, want the variable without its value, and the resourceVersion", got.Value)
	}
	observations, err := source.Parse(source.Record{Source: source.Etcd, Node: "n", Data: data})
	if err != nil || len(observations) != 1 || observations[0].Keys.ResourceVersion != "9" || observations[0].Subject.UID != "u" {
		t.Errorf("parsed %+v with error %v, want one observation of revision 9 of the Pod with UID u", observations, err)
	}
}

func TestConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		config Config
		want   string
	}{
		"plain":                       {config: Config{Endpoint: "http://127.0.0.1:2379"}},
		"with certificates":           {config: Config{Endpoint: "https://127.0.0.1:2379", CAFile: "a", CertFile: "b", KeyFile: "c"}},
		"https without a key":         {config: Config{Endpoint: "https://127.0.0.1:2379", CAFile: "a", CertFile: "b"}, want: `needs a file with the key`},
		"http with certificates":      {config: Config{Endpoint: "http://127.0.0.1:2379", CAFile: "a"}, want: "takes no certificates"},
		"an address without a scheme": {config: Config{Endpoint: "127.0.0.1:2379"}, want: `etcd endpoint is "127.0.0.1:2379", want https://`},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.config.Validate()
			if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

// Every method of etcd's API but the two that read is refused, also those that no code here would call.
func TestOnlyReadingIsAllowed(t *testing.T) {
	for method, want := range map[string]bool{
		"/etcdserverpb.KV/Range": true, "/etcdserverpb.Watch/Watch": true,
		"/etcdserverpb.KV/Put": false, "/etcdserverpb.KV/DeleteRange": false, "/etcdserverpb.KV/Txn": false, "/etcdserverpb.KV/Compact": false,
		"/etcdserverpb.Lease/LeaseGrant": false, "/etcdserverpb.Maintenance/Defragment": false, "/etcdserverpb.Cluster/MemberRemove": false,
		"/etcdserverpb.Auth/UserAdd": false, "/v3lockpb.Lock/Lock": false, "": false,
	} {
		if err := refuse(method); (err == nil) != want {
			t.Errorf("%s: %v, want it allowed: %v", method, err, want)
		}
	}
}

// FuzzDescribe: no value stops the watcher, and what it keeps is JSON.
func FuzzDescribe(f *testing.F) {
	value := stored(f, "v1", "Pod", pod())
	for _, seed := range [][]byte{value, value[:40], []byte(trsJSON), []byte("k8s\x00"), {}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, of := range recorded {
			got, _ := describe(of, &mvccpb.KeyValue{Key: []byte("/registry/" + of.prefix + "demo/x"), ModRevision: 1, Value: value}, func(string) bool { return true })
			if _, err := json.Marshal(got); err != nil {
				t.Errorf("%s: %v", of.kind, err)
			}
		}
		_, _ = renewal(&mvccpb.KeyValue{Value: value}) // must only not panic
	})
}
