// SPDX-License-Identifier: Apache-2.0

package spans

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// collector is the receiving end of OTLP over gRPC.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer

	mu       sync.Mutex
	received []*tracev1.ResourceSpans
}

func (c *collector) Export(_ context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = append(c.received, req.ResourceSpans...)
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func startCollector(t *testing.T) (*collector, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, server := &collector{}, grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, c)
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-stopped; err != nil {
			t.Errorf("The collector stopped: %v", err)
		}
	})
	return c, "http://" + listener.Addr().String()
}

// TestSpansGoToTheCollectorToo checks that what the environment names gets every span by the time of the shutdown,
// under the service's name, and that the keeper has them as well.
func TestSpansGoToTheCollectorToo(t *testing.T) {
	c, endpoint := startCollector(t)
	t.Setenv(endpointVariable, endpoint)
	keeper := NewKeeper("test", 1<<20)
	provider, err := New(t.Context(), Options{Service: "service", Version: "v1", Keep: keeper, Log: testr.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("tracer").Start(t.Context(), "span")
	span.End()
	if err := provider.Shutdown(); err != nil {
		t.Fatal(err)
	}

	if len(c.received) != 1 || len(c.received[0].ScopeSpans) != 1 || len(c.received[0].ScopeSpans[0].Spans) != 1 {
		t.Fatalf("The collector received %v, want one span", c.received)
	}
	got := map[string]string{"span": c.received[0].ScopeSpans[0].Spans[0].Name}
	for _, a := range c.received[0].Resource.Attributes {
		got[a.Key] = a.Value.GetStringValue()
	}
	if got["span"] != "span" || got["service.name"] != "service" || got["service.version"] != "v1" {
		t.Errorf("The collector received %v", got)
	}
	if n := keeper.Status().Kept; n != 1 {
		t.Errorf("The keeper has %d records, want 1", n)
	}
}

// TestADeadCollectorHoldsNobodyUp checks that reporting and shutting down have an end without a collector.
func TestADeadCollectorHoldsNobodyUp(t *testing.T) {
	t.Setenv(endpointVariable, "http://127.0.0.1:1")
	provider, err := New(t.Context(), Options{Service: "service", Log: testr.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- provider.Start(ctx) }()
	_, span := provider.Tracer("tracer").Start(t.Context(), "span")
	span.End()
	stop()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("The span that could not be sent is told nobody")
		}
	case <-time.After(shutdownTimeout + 5*time.Second):
		t.Errorf("The shutdown takes longer than %s", shutdownTimeout)
	}
}
