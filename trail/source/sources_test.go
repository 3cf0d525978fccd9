// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
)

// told is what an observation says, as far as the tests of this file compare it.
type told struct {
	Stage   trail.Stage
	Subject trail.Subject
	Keys    trail.Keys
	Summary string
}

func toldBy(t *testing.T, name string, data any) []told {
	t.Helper()
	raw, ok := data.(string)
	if !ok {
		encoded, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		raw = string(encoded)
	}
	observations, err := Parse(Record{Source: name, Node: "n", Data: json.RawMessage(raw)})
	if err != nil {
		t.Fatal(err)
	}
	var out []told
	for _, o := range observations {
		if o.Evidence.Source != name || o.Evidence.Node != "n" || o.Evidence.ID == "" {
			t.Errorf("evidence %+v, want source %s, node n and an id", o.Evidence, name)
		}
		out = append(out, told{o.Stage, o.Subject, o.Keys, o.Summary})
	}
	return out
}

// at is a span's start.
var at = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

func made(id, parent, name string, took time.Duration, attributes ...string) SpanData {
	s := SpanData{ID: id, Parent: parent, Name: name, Start: at, Took: took, Attributes: map[string]string{}}
	for i := 0; i < len(attributes); i += 2 {
		s.Attributes[attributes[i]] = attributes[i+1]
	}
	return s
}

func later(by time.Duration, span SpanData) SpanData {
	span.Start = span.Start.Add(by)
	return span
}

func TestParseSpan(t *testing.T) {
	const ms = time.Millisecond
	first := made("1", "", "POST /api/v1/namespaces/{:namespace}/pods", 12*ms, SpanTarget, "/api/v1/namespaces/demo/pods", SpanAuditID, "a1")
	handler := made("2", "1", "Create", 11*ms)
	handler.Events = []SpanMark{{Name: "limitedReadBody succeeded", After: ms, Attributes: map[string]string{"len": "812"}}}
	store := made("4", "2", "Create etcd3", 3*ms, "key", "/pods/demo/web-1", "type", "*core.Pod")
	store.Events = []SpanMark{{Name: "About to Encode", After: ms}, {Name: "Encode succeeded", After: 2 * ms, Attributes: map[string]string{"len": "1500"}}}
	failing := made("3", "2", "Call mutating webhook", 5*ms, "webhook", "mutate.pod")
	failing.Error = "timeout"
	subject := trail.Subject{Kind: "Pod", Namespace: "demo", Name: "web-1"}
	pod := trail.Subject{Kind: "Pod", Namespace: "demo", Name: "web-1", UID: "u"}
	keys := func(span, parent string) trail.Keys {
		return trail.Keys{AuditID: "a1", Trace: "t", Span: span, Parent: parent}
	}
	second := made("11", "", "PUT x", ms, SpanTarget, "/api/v1/namespaces/demo/pods/web-2/status", SpanAuditID, "a2")
	tests := map[string]struct {
		spans Spans
		want  []told
	}{
		"a request that makes a Pod, whose name is in the key alone": {
			spans: Spans{Service: "apiserver", Trace: "t", Spans: []SpanData{
				made("5", "4", "etcdserverpb.KV/Txn", 2*ms), store, failing, made("6", "2", "Call validating webhook", 4*ms, "webhook", "validate.pod"),
				made("7", "1", "authorization", ms), made("8", "2", "SerializeObject", ms), handler, first,
			}},
			want: []told{
				{trail.Persist, subject, keys("5", "4"), "etcd's transaction took 2ms"},
				{trail.Persist, subject, keys("4", "2"), "Create in the store took 3ms, 1500 B encoded"},
				{trail.Mutate, subject, keys("3", "2"), "webhook mutate.pod failed in 5ms"},
				{trail.Validate, subject, keys("6", "2"), "webhook validate.pod answered in 4ms"},
				{trail.Authorize, subject, keys("7", "1"), "decided in 1ms"},
				{trail.Submit, subject, keys("2", "1"), "its handler Create took 11ms"},
				{trail.Submit, subject, keys("1", ""), "the API server worked on it for 12ms"},
			},
		},
		"the API server ends the authorization's span after the handler's": {
			spans: Spans{Service: "apiserver", Trace: "t", Spans: []SpanData{
				later(2*ms, made("2", "7", "Create", 9*ms)), made("7", "1", "authorization", 12*ms), first,
			}},
			want: []told{
				{trail.Submit, trail.Subject{Kind: "Pod", Namespace: "demo"}, keys("2", "7"), "its handler Create took 9ms"},
				{trail.Authorize, trail.Subject{Kind: "Pod", Namespace: "demo"}, keys("7", "1"), "decided in 2ms"},
				{trail.Submit, trail.Subject{Kind: "Pod", Namespace: "demo"}, keys("1", ""), "the API server worked on it for 12ms"},
			},
		},
		"two requests in the trace of one privileged client": {
			spans: Spans{Service: "apiserver", Trace: "t", Spans: []SpanData{
				made("12", "11", "authorization", ms), made("7", "1", "authorization", ms), made("13", "lost", "authorization", ms), second, first,
			}},
			want: []told{
				{trail.Authorize, trail.Subject{Kind: "Pod", Namespace: "demo", Name: "web-2"}, trail.Keys{AuditID: "a2", Trace: "t", Span: "12", Parent: "11"}, "decided in 1ms"},
				{trail.Authorize, trail.Subject{Kind: "Pod", Namespace: "demo"}, keys("7", "1"), "decided in 1ms"},
				{trail.Submit, trail.Subject{Kind: "Pod", Namespace: "demo", Name: "web-2"}, trail.Keys{AuditID: "a2", Trace: "t", Span: "11"}, "the API server worked on it for 1ms"},
				{trail.Submit, trail.Subject{Kind: "Pod", Namespace: "demo"}, keys("1", ""), "the API server worked on it for 12ms"},
			},
		},
		"a request about something else": {
			spans: Spans{Service: "apiserver", Trace: "t", Spans: []SpanData{made("1", "", "POST x", ms, SpanTarget, "/api/v1/namespaces/demo/secrets", SpanAuditID, "a1")}},
		},
		"a kubelet's work": {
			spans: Spans{Service: "kubelet", Trace: "t", Pod: &pod, Spans: []SpanData{
				made("2", "1", "runtime.v1.RuntimeService/RunPodSandbox", 300*ms), made("3", "1", "something of no interest", ms),
				made("1", "", "syncPod", 2*time.Second, "k8s.pod.update_type", "create"),
			}},
			want: []told{
				{trail.Run, pod, trail.Keys{Trace: "t", Span: "2", Parent: "1"}, "kubelet RunPodSandbox in 300ms"},
				{trail.Run, pod, trail.Keys{Trace: "t", Span: "1"}, "kubelet synced the Pod (create) in 2s"},
			},
		},
		"containerd's": {
			spans: Spans{Service: "containerd", Trace: "t", Pod: &pod, Spans: []SpanData{
				made("2", "1", "cri.sandbox.run", 250*ms, "sandbox.id", "s1"), made("3", "2", "client.task.Start", ms, "task.pid", "42"),
				made("4", "2", "client.NewContainer", ms, "container.id", "c1"),
			}},
			want: []told{
				{trail.Run, pod, trail.Keys{Trace: "t", Span: "2", Parent: "1", Sandbox: "s1"}, "containerd made the sandbox in 250ms"},
				{trail.Run, pod, trail.Keys{Trace: "t", Span: "3", Parent: "2"}, "containerd started the process: runc start in 1ms"},
				{trail.Run, pod, trail.Keys{Trace: "t", Span: "4", Parent: "2", Container: "c1"}, "containerd prepared the container's snapshot and spec in 1ms"},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, toldBy(t, Span, tc.spans)); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestTarget(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/namespaces/demo/pods":                                      "Pod demo/ ",
		"/api/v1/namespaces/demo/pods/a/binding?x=y":                        "Pod demo/a binding",
		"/apis/apps/v1/namespaces/demo/replicasets/a/status":                "ReplicaSet demo/a status",
		"/apis/apps.podtrail.dev/v1alpha1/namespaces/d/teachingreplicasets": "TeachingReplicaSet d/ ",
		"/api/v1/namespaces/demo/secrets/a":                                 "",
		"/api/v1/pods":                                                      "", "/healthz": "", "": "", "/api": "", "/apis/apps/v1": "", "/api/v1/namespaces/demo": "",
	} {
		got := ""
		if subject, subresource, ok := RequestTarget(path); ok {
			got = fmt.Sprintf("%s %s/%s %s", subject.Kind, subject.Namespace, subject.Name, subresource)
		}
		if got != want {
			t.Errorf("RequestTarget(%q) is %q, want %q", path, got, want)
		}
	}
}

func TestParseStoredAndRenewal(t *testing.T) {
	stored := Stored{
		Event: StoredPut, Key: "/registry/pods/demo/web-1", CreateRevision: 9, ModRevision: 9, Version: 1, Size: 1300,
		Encoding: EncodingProtobuf, APIVersion: "v1", Kind: "Pod", Namespace: "demo", Name: "web-1", UID: "u",
	}
	subject := trail.Subject{Kind: "Pod", Namespace: "demo", Name: "web-1", UID: "u"}
	want := []told{{trail.Persist, subject, trail.Keys{ResourceVersion: "9", Creates: true}, "etcd holds 1.3 kB of protobuf at revision 9"}}
	if diff := cmp.Diff(want, toldBy(t, Etcd, stored)); diff != "" {
		t.Errorf("a put (-want +got):\n%s", diff)
	}
	gone := Stored{Event: StoredDelete, Key: stored.Key, ModRevision: 12, Kind: "Pod", Namespace: "demo", Name: "web-1", UID: "u"}
	want = []told{{trail.Persist, subject, trail.Keys{ResourceVersion: "12"}, "key deleted at revision 12"}}
	if diff := cmp.Diff(want, toldBy(t, Etcd, gone)); diff != "" {
		t.Errorf("a deletion (-want +got):\n%s", diff)
	}
	want = []told{{trail.Heal, trail.Subject{Kind: "Node", Name: "worker"}, trail.Keys{ResourceVersion: "7"}, "kubelet of worker renewed its Lease"}}
	if diff := cmp.Diff(want, toldBy(t, Lease, Renewal{Node: "worker", Holder: "worker", RenewTime: at, Seconds: 40, Revision: 7})); diff != "" {
		t.Errorf("a renewal (-want +got):\n%s", diff)
	}
}

func TestWhatIsNoRecordIsRefused(t *testing.T) {
	for name, tc := range map[string]struct{ source, data, want string }{
		"spans without a trace":   {Span, `{"spans":[{}]}`, `has trace ""`},
		"no spans":                {Span, `{"trace":"t"}`, "0 spans"},
		"no JSON":                 {Span, `{`, "decode span record"},
		"a key without revision":  {Etcd, `{"key":"k","kind":"Pod"}`, "mod revision 0"},
		"a renewal of no node":    {Lease, `{}`, "names no node"},
		"a network of no Pod":     {CNI, `{"containerId":"s"}`, `Pod UID ""`},
		"a container of no Pod":   {OCI, `{"id":"c"}`, `Pod UID ""`},
		"a source nobody has":     {"x", `{}`, `source "x"`},
		"an array for an object":  {OCI, `[]`, "decode oci record"},
		"arguments of three each": {CNI, `{"cniArgs":["x"]}`, "decode cni record"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(Record{Source: tc.source, Node: "n", Data: json.RawMessage(tc.data)}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

// FuzzParse: no record of any source stops a reader, and each observation says where it comes from.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"service":"kubelet","trace":"t","pod":{"kind":"Pod","name":"p","uid":"u"},"spans":[{"name":"syncPod","id":"1","start":"2026-11-22T12:00:00Z","tookNs":5}]}`,
		`{"trace":"t","spans":[{"name":"POST x","id":"1","parent":"1","attributes":{"http.target":"/api/v1/namespaces/d/pods","audit-id":"a"}},{"name":"Create","id":"2","parent":"2"}]}`,
		`{"event":"put","key":"/registry/pods/d/p","modRevision":3,"kind":"Pod","name":"p"}`,
		`{"containerId":"s","cniArgs":[["K8S_POD_UID","u"]],"result":{"interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{}]}}`,
		`{"id":"c","annotations":{"io.kubernetes.cri.sandbox-uid":"u"},"linux":{"resources":{"cpu":{"quota":1}}}}`,
		`{"node":"n","renewTime":"2026-11-22T12:00:00Z"}`, `[]`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{Span, Etcd, CNI, OCI, Lease} {
			observations, _ := Parse(Record{Source: name, Node: "n", Data: data})
			for _, o := range observations {
				if o.Stage < trail.Submit || o.Stage > trail.Heal || o.Evidence.Source != name || o.Summary == "" {
					t.Errorf("%s: %+v, want a stage, its source and a summary", name, o)
				}
			}
		}
	})
}
