// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

var start = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

// rig is a receiver that is given its batches directly, with a clock that the test sets.
type rig struct {
	t   *testing.T
	r   *Receiver
	now time.Time
}

func newRig(t *testing.T, pendingBytes int64) *rig {
	t.Helper()
	receiver, err := New("127.0.0.1:4317", pendingBytes, evidence.New(source.Span, "n", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, r: receiver, now: start}
	receiver.now = func() time.Time { return r.now }
	return r
}

// export sends one batch of one service.
func (r *rig) export(service string, spans ...*tracev1.Span) {
	r.t.Helper()
	if _, err := r.r.Export(r.t.Context(), batch(service, spans...)); err != nil {
		r.t.Fatal(err)
	}
}

func batch(service string, spans ...*tracev1.Span) *collectorv1.ExportTraceServiceRequest {
	return &collectorv1.ExportTraceServiceRequest{ResourceSpans: []*tracev1.ResourceSpans{{
		Resource:   &resourcev1.Resource{Attributes: attrs("service.name", service)},
		ScopeSpans: []*tracev1.ScopeSpans{{Spans: spans}},
	}}}
}

func attrs(pairs ...string) []*commonv1.KeyValue {
	var out []*commonv1.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, &commonv1.KeyValue{Key: pairs[i], Value: &commonv1.AnyValue{
			Value: &commonv1.AnyValue_StringValue{StringValue: pairs[i+1]},
		}})
	}
	return out
}

// span makes a span of a trace with a number as id; parent 0 makes it the first one.
func span(trace, id, parent byte, name string, attributes ...string) *tracev1.Span {
	s := &tracev1.Span{
		TraceId: append(make([]byte, 15), trace), SpanId: append(make([]byte, 7), id), Name: name,
		StartTimeUnixNano: uint64(start.UnixNano()), EndTimeUnixNano: uint64(start.Add(time.Millisecond).UnixNano()),
		Attributes: attrs(attributes...),
	}
	if parent != 0 {
		s.ParentSpanId = append(make([]byte, 7), parent)
	}
	return s
}

func request(trace byte, method, path string) *tracev1.Span {
	return span(trace, 1, 0, method+" "+path, source.SpanTarget, path, source.SpanAuditID, "audit-1")
}

func syncPod(trace byte, kind string) *tracev1.Span {
	return span(trace, 1, 0, "syncPod", source.SpanPodUID, "u", source.SpanPodName, "p", source.SpanPodNamespace, "demo", "k8s.pod.update_type", kind)
}

// kept is what the receiver holds, in words: service, namespace filter passed, and the spans' names.
func (r *rig) kept() []string {
	r.t.Helper()
	var out []string
	for record := range r.r.Records(func(of buffer.About) bool { return of.Namespace == "demo" }) {
		var spans source.Spans
		if err := json.Unmarshal(record.Data, &spans); err != nil {
			r.t.Fatal(err)
		}
		names := make([]string, 0, len(spans.Spans))
		for _, s := range spans.Spans {
			names = append(names, s.Name)
		}
		out = append(out, spans.Service+": "+strings.Join(names, ", "))
	}
	return out
}

// pods is of which Pod each record is said to be.
func (r *rig) pods() []string {
	var out []string
	r.r.Records(func(of buffer.About) bool {
		out = append(out, of.Pod)
		return true
	})(func(source.Record) bool { return true })
	return out
}

// TestWhichPod: a trace is of the Pod that its request's path or its syncPod names, and of no one Pod otherwise.
func TestWhichPod(t *testing.T) {
	for name, tc := range map[string]struct {
		span *tracev1.Span
		want string
	}{
		"a kubelet's":                          {syncPod(1, "create"), "p"},
		"a request for one Pod":                {request(1, "PATCH", podPath+"/web-1/status"), "web-1"},
		"a creation, whose path names none":    {request(1, "POST", podPath), ""},
		"a request for an object of its owner": {request(1, "PUT", "/apis/apps/v1/namespaces/demo/replicasets/web/status"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1<<20)
			r.export("service", tc.span)
			if got := r.pods(); !slices.Equal(got, []string{tc.want}) {
				t.Errorf("records are of the Pods %q, want %q", got, tc.want)
			}
		})
	}
}

const podPath = "/api/v1/namespaces/demo/pods"

func TestWhatIsKept(t *testing.T) {
	store := func(trace byte) *tracev1.Span { return span(trace, 2, 1, "Create etcd3", "key", "/pods/demo/p") }
	run := func(trace byte) *tracev1.Span { return span(trace, 2, 1, "runtime.v1.RuntimeService/RunPodSandbox") }
	sandbox := func(trace byte) *tracev1.Span { return span(trace, 9, 2, "cri.sandbox.run", "sandbox.id", "s") }
	type step struct {
		service string
		spans   []*tracev1.Span
	}
	tests := map[string]struct {
		steps         []step
		want          []string
		wantFiltered  int64
		wantMalformed int64
	}{
		"a request that makes a Pod, its children first, as they end": {
			steps: []step{{"apiserver", []*tracev1.Span{store(1), request(1, "POST", podPath)}}},
			want:  []string{"apiserver: Create etcd3, POST " + podPath},
		},
		"its children in an earlier batch": {
			steps: []step{{"apiserver", []*tracev1.Span{store(1)}}, {"apiserver", []*tracev1.Span{request(1, "POST", podPath)}}},
			want:  []string{"apiserver: Create etcd3, POST " + podPath},
		},
		"two requests in one batch, interleaved": {
			steps: []step{{"apiserver", []*tracev1.Span{store(1), store(2), request(2, "POST", podPath), request(1, "POST", podPath)}}},
			want:  []string{"apiserver: Create etcd3, POST " + podPath, "apiserver: Create etcd3, POST " + podPath},
		},
		"a privileged user's request, whose first span ends before the one that tells what it is": {
			steps: []step{{"apiserver", []*tracev1.Span{span(1, 7, 0, "authentication"), span(1, 2, 1, "Create etcd3", "key", "/pods/demo/p"),
				span(1, 1, 7, "POST "+podPath, source.SpanTarget, podPath)}}},
			want: []string{"apiserver: Create etcd3, POST " + podPath}, wantFiltered: 1,
		},
		"a read":                   {steps: []step{{"apiserver", []*tracev1.Span{store(1), request(1, "GET", podPath)}}}, wantFiltered: 2},
		"a write of a Secret":      {steps: []step{{"apiserver", []*tracev1.Span{store(1), request(1, "POST", "/api/v1/namespaces/demo/secrets")}}}, wantFiltered: 2},
		"children after a verdict": {steps: []step{{"apiserver", []*tracev1.Span{request(1, "GET", podPath), store(1)}}}, wantFiltered: 2},
		"a span that tells nothing of its own": {
			steps: []step{{"apiserver", []*tracev1.Span{span(1, 3, 1, "SerializeObject"), request(1, "POST", podPath)}}},
			want:  []string{"apiserver: POST " + podPath}, wantFiltered: 1,
		},
		"a kubelet's work, and containerd's of the same trace before and after it is known": {
			steps: []step{
				{"containerd", []*tracev1.Span{sandbox(1)}},
				{"kubelet", []*tracev1.Span{run(1), syncPod(1, "create")}},
				{"containerd", []*tracev1.Span{span(1, 10, 9, "cni.setup_pod_network")}},
			},
			want: []string{"containerd: cri.sandbox.run", "kubelet: runtime.v1.RuntimeService/RunPodSandbox, syncPod", "containerd: cni.setup_pod_network"},
		},
		"a syncPod that only looked":                        {steps: []step{{"kubelet", []*tracev1.Span{syncPod(1, "sync")}}}, wantFiltered: 1},
		"a syncPod that restarted something":                {steps: []step{{"kubelet", []*tracev1.Span{run(1), syncPod(1, "sync")}}}, want: []string{"kubelet: runtime.v1.RuntimeService/RunPodSandbox, syncPod"}},
		"a first span that is about no Pod, and its others": {steps: []step{{"kubelet", []*tracev1.Span{run(1), span(1, 1, 0, "Containers/GarbageCollect")}}}, wantFiltered: 2},
		"ids that are none": {
			steps: []step{{"x", []*tracev1.Span{{Name: "no ids"}, {TraceId: make([]byte, 16), SpanId: make([]byte, 3), StartTimeUnixNano: 1, EndTimeUnixNano: 2}}}}, wantMalformed: 2,
		},
		"an end before the start": {
			steps: []step{{"x", []*tracev1.Span{{TraceId: make([]byte, 16), SpanId: make([]byte, 8), StartTimeUnixNano: 2, EndTimeUnixNano: 1}}}}, wantMalformed: 1,
		},
		"a batch of nothing": {steps: []step{{"x", nil}, {"x", []*tracev1.Span{nil}}}, wantMalformed: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1<<20)
			for _, step := range tc.steps {
				r.export(step.service, step.spans...)
			}
			if diff := cmp.Diff(tc.want, r.kept()); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			status := r.r.Status()
			if status.Filtered != tc.wantFiltered || status.Malformed != tc.wantMalformed || status.Dropped != 0 {
				t.Errorf("%+v, want %d filtered, %d malformed, none dropped", status, tc.wantFiltered, tc.wantMalformed)
			}
		})
	}
}

func TestNoQueryAndNoUnknownAttributeIsKept(t *testing.T) {
	r := newRig(t, 1<<20)
	first := request(1, "POST", podPath+"?command=secret-word")
	first.Attributes = append(first.Attributes, attrs("http.request.header.authorization", "secret-word")...)
	first.Events = []*tracev1.Span_Event{{Name: "limitedReadBody succeeded", TimeUnixNano: first.StartTimeUnixNano, Attributes: attrs("len", "12", "body", "secret-word")}}
	first.Name = "POST /api/v1/namespaces/{:namespace}/pods"
	r.export("apiserver", first)
	for record := range r.r.Records(func(buffer.About) bool { return true }) {
		if strings.Contains(string(record.Data), "secret-word") {
			t.Errorf("kept %s", record.Data)
		}
		if !strings.Contains(string(record.Data), `"len":"12"`) {
			t.Errorf("kept %s, want the body's length", record.Data)
		}
	}
	if r.r.Status().Kept != 1 {
		t.Errorf("%+v, want one record", r.r.Status())
	}
}

func TestWaitingSpansAreBounded(t *testing.T) {
	const limit = 4096
	r := newRig(t, limit)
	for trace := range byte(200) {
		r.export("apiserver", span(trace+1, 2, 1, "Create etcd3", "key", "/pods/demo/p"))
		if r.r.sieve.bytes > limit || len(r.r.sieve.pending) != r.r.sieve.order.Len() {
			t.Fatalf("%d bytes of %d traces (%d in order) wait, want at most %d bytes", r.r.sieve.bytes, len(r.r.sieve.pending), r.r.sieve.order.Len(), limit)
		}
	}
	waits := len(r.r.sieve.pending)
	if dropped := r.r.Status().Dropped; waits == 0 || dropped != int64(200-waits) {
		t.Errorf("%d dropped and %d wait, want 200 in all and some that wait", dropped, waits)
	}
	r.now = start.Add(maxAge + time.Second)
	r.r.sieve.expire(r.now)
	if r.r.sieve.bytes != 0 || len(r.r.sieve.pending) != 0 || r.r.Status().Dropped != 200 {
		t.Errorf("after %v %d bytes wait and %d are dropped, want 0 and 200", maxAge, r.r.sieve.bytes, r.r.Status().Dropped)
	}
}

func TestRememberedVerdictsAreBounded(t *testing.T) {
	s := newSieve(1<<20, evidence.New(source.Span, "n", 1<<20))
	for n := range rememberedTraces + 100 {
		s.settle(traceID{byte(n), byte(n >> 8), 1}, verdict{})
	}
	if len(s.verdicts) != rememberedTraces {
		t.Errorf("%d verdicts are remembered, want %d", len(s.verdicts), rememberedTraces)
	}
}

func TestOnlyTheLoopbackIsListenedOn(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:4317": true, "[::1]:4317": true,
		":4317": false, "0.0.0.0:4317": false, "10.0.0.1:4317": false, "localhost:4317": false, "127.0.0.1": false,
	} {
		if _, err := New(address, 1, evidence.New(source.Span, "n", 1<<20)); (err == nil) != want {
			t.Errorf("New(%q) gave %v, want it taken: %v", address, err, want)
		}
	}
}

// FuzzExport: no batch stops the receiver, and what it keeps can be parsed.
func FuzzExport(f *testing.F) {
	for _, spans := range [][]*tracev1.Span{
		{span(1, 2, 1, "Create etcd3", "key", "/pods/demo/p"), request(1, "POST", podPath)},
		{span(1, 2, 1, "cri.sandbox.run"), syncPod(1, "create")},
		{{Name: "no ids"}},
	} {
		raw, err := proto.Marshal(batch("kubelet", spans...))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)/2])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var request collectorv1.ExportTraceServiceRequest
		if proto.Unmarshal(raw, &request) != nil {
			return
		}
		r := newRig(t, 1<<16)
		if _, err := r.r.Export(t.Context(), &request); err != nil {
			t.Errorf("Export gave %v", err)
		}
		for record := range r.r.Records(func(buffer.About) bool { return true }) {
			if _, err := source.Parse(record); err != nil {
				t.Errorf("kept %s, which cannot be parsed: %v", record.Data, err)
			}
		}
	})
}
