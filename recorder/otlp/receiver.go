// SPDX-License-Identifier: Apache-2.0

// Package otlp receives the spans of kube-apiserver, kubelet and containerd on the node's loopback and keeps those
// that a trail can need.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	ctrl "sigs.k8s.io/controller-runtime"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/trail/source"
)

const (
	// maxBatchBytes bounds one export. OpenTelemetry's Go exporter sends at most 512 spans, which are some 300 KB.
	maxBatchBytes = 4 << 20
	// maxStreams bounds the exports that one connection has under way at once.
	maxStreams = 4
	// idleTimeout ends connections of exporters that have gone.
	idleTimeout = 30 * time.Minute
	// sweepInterval is how often traces that nothing claimed are looked for.
	sweepInterval = 30 * time.Second
	// listenRetry is how long to wait when the port is taken, as it is while the recorder before this one still ends.
	listenRetry = 2 * time.Second
)

// Receiver is an OTLP/gRPC trace collector and a source of the recorder. It is a runnable of a controller-runtime
// manager. Make one with New.
//
// It has neither TLS nor authentication, because the exporters of kubelet and API server have none either: it must
// listen on a loopback address, and New refuses any other.
type Receiver struct {
	collectorv1.UnimplementedTraceServiceServer
	*evidence.Store

	address string
	now     func() time.Time
	senders *senders

	mu    sync.Mutex
	sieve *sieve
}

// New returns a receiver that will listen on address, host:port with a loopback IP, and keeps what it can need in
// kept. Traces of which it is not known yet whether they are needed take at most pendingBytes beside it.
func New(address string, pendingBytes int64, kept *evidence.Store) (*Receiver, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("OTLP address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("OTLP address %q is not on the loopback, where nobody from outside the node can send: want 127.0.0.1:PORT or [::1]:PORT", address)
	}
	return &Receiver{Store: kept, address: address, now: time.Now, senders: newSenders(), sieve: newSieve(pendingBytes, kept)}, nil
}

// Status is the store's, and who has sent.
func (r *Receiver) Status() source.Status {
	status := r.Store.Status()
	status.Senders = r.senders.list()
	return status
}

// Start serves until the context ends. A port that is taken is tried again, and told in Status: a recorder without
// spans still has its other sources.
func (r *Receiver) Start(ctx context.Context) error {
	log := ctrl.LoggerFrom(ctx).WithValues("source", r.Name(), "address", r.address)
	for {
		err := r.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if r.Report(err) {
			log.Error(err, "Could not receive spans; trying again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(listenRetry):
		}
	}
}

// serve listens and answers until the context ends or the listener fails.
func (r *Receiver) serve(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.address)
	if err != nil {
		return fmt.Errorf("listening for spans: %w", err)
	}
	r.Report(nil)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxBatchBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout}),
		grpc.StatsHandler(connections{r.senders, r.now}),
	)
	collectorv1.RegisterTraceServiceServer(server, r)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			server.Stop() // an export that is cut off is the exporter's to repeat
			if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				return fmt.Errorf("serving spans: %w", err)
			}
			return nil
		case err := <-ended:
			return fmt.Errorf("serving spans: %w", err)
		case <-sweep.C:
			r.mu.Lock()
			r.sieve.expire(r.now())
			r.mu.Unlock()
		}
	}
}

// Export takes one batch. It never refuses one: what cannot be understood is counted, and an exporter that is told of
// an error would only send the same again.
func (r *Receiver) Export(ctx context.Context, request *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		service := text(resource.GetResource().GetAttributes(), "service.name")
		for _, scope := range resource.GetScopeSpans() {
			r.senders.sent(ctx, service, len(scope.GetSpans()), r.now())
			r.take(service, scope.GetSpans())
		}
	}
	r.sieve.flush()
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func (r *Receiver) take(service string, spans []*tracev1.Span) {
	now := r.now()
	for _, span := range spans {
		if !wellFormed(span) {
			r.Malformed()
			continue
		}
		if id := probeOf(span); id != "" {
			r.Probed(id, time.Unix(0, int64(span.GetStartTimeUnixNano()))) //nolint:gosec // wellFormed bounds it
		}
		r.sieve.offer(now, service, span)
	}
}

// wellFormed says that a span has the ids that joins need, and does not end before it starts.
func wellFormed(span *tracev1.Span) bool {
	parent := len(span.GetParentSpanId())
	return len(span.GetTraceId()) == traceIDBytes && len(span.GetSpanId()) == spanIDBytes &&
		(parent == 0 || parent == spanIDBytes) && span.GetStartTimeUnixNano() > 0 &&
		span.GetEndTimeUnixNano() >= span.GetStartTimeUnixNano() && span.GetEndTimeUnixNano() < maxUnixNano
}

// probeOf returns the Audit-ID of a request by which podtrail doctor proves that spans are delivered, "" if the span is not
// the API server's first of one. Only that it arrived is remembered.
func probeOf(span *tracev1.Span) string {
	if !strings.HasPrefix(span.GetName(), "POST ") {
		return ""
	}
	target, _, _ := strings.Cut(text(span.GetAttributes(), source.SpanTarget), "?")
	if id := text(span.GetAttributes(), source.SpanAuditID); target == source.ProbePath && source.IsProbe(id) {
		return id
	}
	return ""
}
