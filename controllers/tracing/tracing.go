// SPDX-License-Identifier: Apache-2.0

// Package tracing makes an OpenTelemetry span of each pass of a controller, so that a trail can show why a Pod was
// created or deleted. A nil Tracer and a nil Pass do nothing, so a controller without tracing pays only for a
// comparison with nil.
package tracing

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"podtrail.dev/podtrail/telemetry/names"
)

// maxTriggers bounds the triggers that one span names. The others are only counted.
const maxTriggers = 32

// Trigger is one event that causes a pass.
type Trigger struct {
	// Event is Added, Updated or Deleted.
	Event string
	Kind  string
	Name  string
	// ResourceVersion is the object's, as the event showed it.
	ResourceVersion string

	at time.Time
}

// Tracer makes the spans of a controller's passes. It is safe for concurrent use.
type Tracer struct {
	controller string
	tracer     trace.Tracer
	clock      clock.PassiveClock

	mu sync.Mutex
	// triggers holds, for each object, the events since its last pass.
	triggers map[types.NamespacedName]*pending
}

type pending struct {
	triggers []Trigger
	more     int
}

// New returns a Tracer for the controller, or nil if tracer is nil.
func New(controller string, tracer trace.Tracer, c clock.PassiveClock) *Tracer {
	if tracer == nil {
		return nil
	}
	return &Tracer{controller: controller, tracer: tracer, clock: c, triggers: map[types.NamespacedName]*pending{}}
}

// Trigger records that an event causes a pass over the object of that name. It does not call makeTrigger if t is nil.
func (t *Tracer) Trigger(name types.NamespacedName, makeTrigger func() Trigger) {
	if t == nil {
		return
	}
	trigger := makeTrigger()
	trigger.at = t.clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.triggers[name]
	if p == nil {
		p = &pending{}
		t.triggers[name] = p
	}
	if len(p.triggers) == maxTriggers {
		p.more++
		return
	}
	p.triggers = append(p.triggers, trigger)
}

// Start begins the span of a pass over the object of that name, with all triggers since the last pass. Requests that go
// through Transport with the returned context belong to the pass.
func (t *Tracer) Start(ctx context.Context, name types.NamespacedName) (context.Context, *Pass) {
	if t == nil {
		return ctx, nil
	}
	now := t.clock.Now()
	ctx, span := t.tracer.Start(ctx, names.ReconcileSpan, trace.WithTimestamp(now), trace.WithAttributes(
		attribute.String(names.Controller, t.controller),
		attribute.String(names.Namespace, name.Namespace),
		attribute.String(names.OwnerName, name.Name),
	))
	if p := t.take(name); p != nil {
		for _, trigger := range p.triggers {
			span.AddEvent(names.EventTrigger, trace.WithTimestamp(trigger.at), trace.WithAttributes(
				attribute.String(names.TriggerEvent, trigger.Event),
				attribute.String(names.TriggerKind, trigger.Kind),
				attribute.String(names.TriggerName, trigger.Name),
				attribute.String(names.TriggerResourceVersion, trigger.ResourceVersion),
			))
		}
		span.SetAttributes(
			attribute.Int(names.MoreTriggers, p.more),
			attribute.Float64(names.QueueSeconds, now.Sub(p.triggers[0].at).Seconds()),
		)
	}
	pass := &Pass{tracer: t, span: span}
	return context.WithValue(ctx, passKey{}, pass), pass
}

func (t *Tracer) take(name types.NamespacedName) *pending {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.triggers[name]
	delete(t.triggers, name)
	return p
}

// Pass is one reconcile. It is safe for concurrent use, because a pass sends several requests at once.
type Pass struct {
	tracer *Tracer
	span   trace.Span
}

type passKey struct{}

// Note adds attributes to the span. It does not call makeAttributes if p is nil.
func (p *Pass) Note(makeAttributes func() []attribute.KeyValue) {
	if p != nil {
		p.span.SetAttributes(makeAttributes()...)
	}
}

// End ends the span. err is the pass's result, requeueAfter the delay until the next pass, or 0 if the pass asked for
// none.
func (p *Pass) End(err error, requeueAfter time.Duration) {
	if p == nil {
		return
	}
	if requeueAfter > 0 {
		p.span.SetAttributes(attribute.Float64(names.RequeueSeconds, requeueAfter.Seconds()))
	}
	if err != nil {
		p.span.SetStatus(codes.Error, err.Error())
	}
	p.span.End(trace.WithTimestamp(p.tracer.clock.Now()))
}
