// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"podtrail.dev/podtrail/telemetry/names"
	"podtrail.dev/podtrail/trail/decision"
)

// The attributes of spans beside those of telemetry/names. The names k8s.* are OpenTelemetry's.
const (
	podName       = "k8s.pod.name"
	podUID        = "k8s.pod.uid"
	nodeName      = "k8s.node.name"
	attemptNumber = "podtrail.attempt"
	outcomeName   = "podtrail.outcome"
	summaryName   = "podtrail.summary"
)

// traceAttempt reports an attempt as a span with a child for each extension point. It is called after the attempt, with
// the times that were measured in it, so that it costs the scheduler nothing.
func (r *Recorder) traceAttempt(ctx context.Context, a *attempt) {
	if r.tracer == nil {
		return
	}
	ctx, span := r.tracer.Start(ctx, "Schedule", trace.WithTimestamp(a.began), trace.WithAttributes(
		attribute.String(names.Namespace, a.pod.Namespace), attribute.String(podName, a.pod.Name), attribute.String(podUID, a.pod.UID),
		attribute.Int(attemptNumber, a.record.Number), attribute.String(outcomeName, string(a.record.Outcome)),
		attribute.String(nodeName, a.record.Node), attribute.String(summaryName, decision.Summary(&a.record)),
	))
	r.traceSteps(ctx, a.began, a.record.Steps)
	if a.record.Outcome != decision.Placed {
		span.SetStatus(codes.Error, a.record.Message)
	}
	a.span = span.SpanContext()
	span.End(trace.WithTimestamp(a.began.Add(a.record.Took)))
}

// traceBinding reports the binding cycle below its attempt's span.
func (r *Recorder) traceBinding(ctx context.Context, b *binding, record decision.Record) {
	if r.tracer == nil {
		return
	}
	ctx, span := r.tracer.Start(trace.ContextWithSpanContext(ctx, b.attempt.span), "Bind", trace.WithTimestamp(b.began), trace.WithAttributes(
		attribute.String(names.Namespace, record.Pod.Namespace), attribute.String(podName, record.Pod.Name),
		attribute.String(podUID, record.Pod.UID), attribute.Int(attemptNumber, record.Binding.Attempt),
		attribute.String(outcomeName, string(record.Binding.Outcome)), attribute.String(nodeName, record.Binding.Node),
	))
	r.traceSteps(ctx, b.began, record.Binding.Steps)
	if record.Binding.Outcome != decision.Bound {
		span.SetStatus(codes.Error, record.Binding.Message)
	}
	span.End(trace.WithTimestamp(b.began.Add(record.Binding.Took)))
}

func (r *Recorder) traceSteps(ctx context.Context, cycle time.Time, steps []decision.Step) {
	for _, step := range steps {
		began := cycle.Add(step.After)
		_, span := r.tracer.Start(ctx, step.Name, trace.WithTimestamp(began))
		if step.Status != "" && step.Status != "Skip" {
			span.SetAttributes(attribute.String("podtrail.status", step.Status), attribute.String("podtrail.plugin", step.Plugin))
		}
		span.End(trace.WithTimestamp(began.Add(step.Took)))
	}
}
