// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/trail/source"
)

// TestSendersAreCountedBeforeTheSieve: whoever sends is heard, whatever of it is kept.
func TestSendersAreCountedBeforeTheSieve(t *testing.T) {
	r := newRig(t, 1<<20)
	r.export("kubelet", span(1, 1, 0, "Containers/GarbageCollect"), span(2, 1, 0, "syncPod"))
	r.now = start.Add(time.Minute)
	r.export("kubelet", span(3, 1, 0, "runtime.v1.RuntimeService/ListContainers"))
	r.export("apiserver", request(4, "GET", podPath), &tracev1.Span{Name: "without ids"})
	r.export("containerd")
	want := []source.Sender{
		{Name: "apiserver", Spans: 2, First: start.Add(time.Minute), Last: start.Add(time.Minute)},
		{Name: "kubelet", Spans: 3, First: start, Last: start.Add(time.Minute)},
	}
	got := r.r.Status()
	if diff := cmp.Diff(want, got.Senders); diff != "" || got.Kept != 0 {
		t.Errorf("%d records kept, want none; senders (-want +got):\n%s", got.Kept, diff)
	}
}

// TestSendersAreBounded: a process that calls itself by ever new names makes the list no longer.
func TestSendersAreBounded(t *testing.T) {
	r := newRig(t, 1<<20)
	for n := range 10 * maxSenders {
		r.export(fmt.Sprintf("%03d", n), span(1, 1, 0, "x"))
	}
	r.export("", span(1, 1, 0, "x"))
	got := r.r.Status().Senders
	if len(got) != maxSenders+1 || got[0].Name != otherSenders || got[0].Spans != 9*maxSenders+1 {
		t.Errorf("%d senders, the first of them %+v; want %d and the others together in one", len(got), got[0], maxSenders+1)
	}
}

// TestConnectionsOfSenders: it is known when the last connection over which a sender has sent ends.
func TestConnectionsOfSenders(t *testing.T) {
	address := freeAddress(t)
	receiver, err := New(address, 1<<20, evidence.New(source.Span, "n", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- receiver.Start(ctx) }()
	first, second := connect(t, address), connect(t, address)
	for _, connection := range []*grpc.ClientConn{first, second, first} {
		request := batch("kubelet", span(1, 1, 0, "x"))
		if _, err := collectorv1.NewTraceServiceClient(connection).Export(t.Context(), request, grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
	}
	kubelet := func() source.Sender { return receiver.Status().Senders[0] }
	if got := kubelet(); got.Connections != 2 || got.Spans != 3 || !got.Disconnected.IsZero() {
		t.Errorf("%+v, want 3 spans over 2 open connections", got)
	}
	closeAll(t, first)
	waitUntil(t, "one connection to end", func() bool { return kubelet().Connections == 1 })
	if got := kubelet(); !got.Disconnected.IsZero() {
		t.Errorf("%+v, want it connected still", got)
	}
	before := time.Now()
	closeAll(t, second)
	waitUntil(t, "the other to end", func() bool { return kubelet().Connections == 0 })
	if got := kubelet(); got.Disconnected.Before(before) || got.Disconnected.After(receiver.Status().Now) {
		t.Errorf("disconnected at %v, want a time since %v", got.Disconnected, before)
	}
	again := connect(t, address)
	if _, err := collectorv1.NewTraceServiceClient(again).Export(t.Context(), batch("kubelet", span(1, 1, 0, "x")), grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	if got := kubelet(); got.Connections != 1 || !got.Disconnected.IsZero() {
		t.Errorf("%+v, want it connected again", got)
	}
	closeAll(t, again)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Start returned %v, want nil", err)
	}
}

// TestProbes: of doctor's request only that it arrived is remembered, and of no other not even that.
func TestProbes(t *testing.T) {
	const mine = source.ProbePrefix + "0a6d6a1c-0c3f-4b6e-9d5e-1b8f6d1c2e3f"
	for name, tc := range map[string]struct {
		method, path, auditID string
		want                  []string
	}{
		"doctor's request":               {"POST", source.ProbePath, mine, []string{mine}},
		"doctor's request, with a query": {"POST", source.ProbePath + "?timeout=5s", mine, []string{mine}},
		"kubectl auth whoami":            {"POST", source.ProbePath, "0a6d6a1c-0c3f-4b6e-9d5e-1b8f6d1c2e3f", nil},
		"a read with such an id":         {"GET", source.ProbePath, mine, nil},
		"another path with such an id":   {"POST", "/apis/authentication.k8s.io/v1/tokenreviews", mine, nil},
		"an id that is too long":         {"POST", source.ProbePath, mine + "-0123456789-0123456789", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1<<20)
			r.export("apiserver", span(1, 1, 0, tc.method+" "+tc.path, source.SpanTarget, tc.path, source.SpanAuditID, tc.auditID))
			var got []string
			status := r.r.Status()
			for _, probe := range status.Probes {
				got = append(got, probe.AuditID)
				if !probe.Received.Equal(start) || probe.Arrived.IsZero() {
					t.Errorf("%+v, want it received at the span's start", probe)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || status.Kept != 0 {
				t.Errorf("%d records kept, want none; probes (-want +got):\n%s", status.Kept, diff)
			}
		})
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func connect(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

func closeAll(t *testing.T, connection *grpc.ClientConn) {
	t.Helper()
	if err := connection.Close(); err != nil {
		t.Fatal(err)
	}
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}
