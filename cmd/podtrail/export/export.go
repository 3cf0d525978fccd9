// SPDX-License-Identifier: Apache-2.0

// Package export sends a trail as one OpenTelemetry trace, so that Jaeger or Tempo shows it.
package export

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"podtrail.dev/podtrail/trail"
)

// endpoint is the variable that names a collector; the exporter reads it and its kin itself.
const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"

// timeout bounds the sending. The trail is printed by then, and whoever waits for the prompt waits for this.
const timeout = 3 * time.Second

// Wanted says whether the environment names a collector.
func Wanted() bool { return os.Getenv(endpoint) != "" }

// Send sends the trail to the collector that the environment names, by OTLP over gRPC, and returns the trace's id.
func Send(ctx context.Context, t trail.Trail, version string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// A collector that is away now will be away in three seconds as well.
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}))
	if err != nil {
		return "", fmt.Errorf("make the exporter that %s asks for: %w", endpoint, err)
	}
	return sendTo(ctx, exporter, t, version)
}

func sendTo(ctx context.Context, exporter sdktrace.SpanExporter, t trail.Trail, version string) (string, error) {
	heard := &listener{SpanExporter: exporter}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithBatcher(heard, sdktrace.WithBlocking(), sdktrace.WithExportTimeout(timeout)), // a call for each span would take too long
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "podtrail"), attribute.String("service.version", version))))
	id := write(ctx, provider.Tracer("podtrail.dev/podtrail/trail"), t)
	err := errors.Join(provider.ForceFlush(ctx), provider.Shutdown(ctx))
	if err := errors.Join(heard.failure(), err); err != nil {
		return "", fmt.Errorf("send the trail: %w", err)
	}
	return id, nil
}

// listener keeps the first failure, which the SDK would only log.
type listener struct {
	sdktrace.SpanExporter
	mu     sync.Mutex
	failed error
}

// ExportSpans passes the spans on, until one failed: a collector that is away would be waited for each time.
func (l *listener) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if l.failure() != nil {
		return nil
	}
	err := l.SpanExporter.ExportSpans(ctx, spans)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = err
	return nil
}

func (l *listener) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// write makes the spans: the trail, in it each object, in that its requests with what spans tell of their inside, and
// its later stages. Evidence without a time is on its stage's span as events are, without one of its own.
func write(ctx context.Context, tracer trace.Tracer, t trail.Trail) string {
	end := t.Start.Add(t.Outcome.Took)
	ctx, root := tracer.Start(ctx, "trail of "+t.Subject.String(), trace.WithNewRoot(), trace.WithTimestamp(t.Start),
		trace.WithAttributes(
			attribute.String("podtrail.result", string(t.Outcome.Result)),
			attribute.Int("podtrail.observed", t.Observed), attribute.Int("podtrail.inferred", t.Inferred)))
	if failure := t.Outcome.Failure; failure != nil {
		root.SetStatus(codes.Error, failure.Reason+": "+failure.Message)
	}
	for _, object := range t.Objects {
		end = latest(end, writeObject(ctx, tracer, object))
	}
	root.End(trace.WithTimestamp(end))
	return root.SpanContext().TraceID().String()
}

func writeObject(ctx context.Context, tracer trace.Tracer, o *trail.Object) time.Time {
	start := o.Start()
	ctx, span := tracer.Start(ctx, o.Subject.String(), trace.WithTimestamp(start), trace.WithAttributes(
		attribute.String("k8s.namespace.name", o.Subject.Namespace), attribute.String("k8s.object.uid", o.Subject.UID)))
	end := latest(start, o.ReadyAt)
	for _, w := range slices.Concat([]trail.Write{o.Created}, o.Writes) {
		if w.Seen() {
			end = latest(end, writeRequest(ctx, tracer, w))
		}
	}
	for _, e := range o.Stages {
		if !e.At.IsZero() {
			end = latest(end, writeStage(ctx, tracer, e))
		}
	}
	for _, child := range o.Children {
		end = latest(end, writeObject(ctx, tracer, child))
	}
	span.End(trace.WithTimestamp(end))
	return end
}

func writeRequest(ctx context.Context, tracer trace.Tracer, w trail.Write) time.Time {
	end := w.Received.Add(w.Took)
	ctx, span := tracer.Start(ctx, w.Verb+" "+w.URI, trace.WithTimestamp(w.Received), trace.WithAttributes(
		attribute.String("audit-id", w.AuditID), attribute.String("user", w.User), attribute.Int("http.response.status_code", int(w.Code)),
		attribute.String("k8s.resource_version", w.ResourceVersion)))
	if failed := w.Failed(); failed != nil {
		span.SetStatus(codes.Error, failed.Failure().Message)
	}
	for _, e := range w.Stages {
		if e.Stage != trail.Submit && !e.At.IsZero() {
			writeStage(ctx, tracer, e)
			continue
		}
		for _, o := range e.Observations {
			span.SetAttributes(facts(e.Stage.String()+".", o)...)
		}
	}
	span.End(trace.WithTimestamp(end))
	return end
}

func writeStage(ctx context.Context, tracer trace.Tracer, e trail.Entry) time.Time {
	end := e.At.Add(e.Took)
	ctx, span := tracer.Start(ctx, fmt.Sprintf("%d %s", e.Stage, e.Stage), trace.WithTimestamp(e.At))
	for _, o := range e.Observations {
		switch {
		case o.Duration > 0 && !o.Time.IsZero():
			_, inner := tracer.Start(ctx, o.Summary, trace.WithTimestamp(o.Time), trace.WithAttributes(facts("", o)...))
			inner.End(trace.WithTimestamp(o.Time.Add(o.Duration)))
		case !o.Time.IsZero():
			span.AddEvent(o.Summary, trace.WithTimestamp(o.Time), trace.WithAttributes(facts("", o)...))
		default:
			span.SetAttributes(facts("", o)...)
		}
	}
	span.End(trace.WithTimestamp(end))
	return end
}

func facts(prefix string, o trail.Observation) []attribute.KeyValue {
	out := []attribute.KeyValue{attribute.String("podtrail.evidence", o.Evidence.Source+" "+o.Evidence.ID)}
	for _, fact := range o.Facts {
		if fact.Key != trail.FactStoredValue {
			out = append(out, attribute.String(prefix+fact.Key, fact.Value))
		}
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
