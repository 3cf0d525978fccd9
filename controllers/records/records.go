// SPDX-License-Identifier: Apache-2.0

// Package records makes an OpenTelemetry span of each of a controller's passes, so that a trail can show why a Pod was
// made or deleted. A nil Recorder and a nil Pass do nothing, so a controller that reports nothing pays for a comparison
// with nil.
package records

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

// maxTriggers bounds the triggers that one pass names; the number of the others is kept.
const maxTriggers = 32

// Trigger is one event that asks for a pass.
type Trigger struct {
	// Event is Added, Updated or Deleted.
	Event string
	Kind  string
	Name  string
	// ResourceVersion is the one at which the object was seen.
	ResourceVersion string

	at time.Time
}

// Recorder makes the spans of a controller's passes. It is safe for concurrent use.
type Recorder struct {
	controller string
	tracer     trace.Tracer
	clock      clock.PassiveClock

	mu sync.Mutex
	// triggers holds, for each object, the events that have not yet led to a pass.
	triggers map[types.NamespacedName]*pending
}

type pending struct {
	triggers []Trigger
	more     int
}

// New returns a recorder for the controller, or nil if there is no tracer.
func New(controller string, tracer trace.Tracer, c clock.PassiveClock) *Recorder {
	if tracer == nil {
		return nil
	}
	return &Recorder{controller: controller, tracer: tracer, clock: c, triggers: map[types.NamespacedName]*pending{}}
}

// Trigger says that an event has asked for a pass over the object of that name. makeTrigger is called only if passes
// are recorded.
func (r *Recorder) Trigger(name types.NamespacedName, makeTrigger func() Trigger) {
	if r == nil {
		return
	}
	trigger := makeTrigger()
	trigger.at = r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.triggers[name]
	if p == nil {
		p = &pending{}
		r.triggers[name] = p
	}
	if len(p.triggers) == maxTriggers {
		p.more++
		return
	}
	p.triggers = append(p.triggers, trigger)
}

// Start begins the span of a pass over the object of that name, with all triggers since the last. Requests that are
// made with the context that it returns, and go through Transport, belong to the pass.
func (r *Recorder) Start(ctx context.Context, name types.NamespacedName) (context.Context, *Pass) {
	if r == nil {
		return ctx, nil
	}
	now := r.clock.Now()
	ctx, span := r.tracer.Start(ctx, names.ReconcileSpan, trace.WithTimestamp(now), trace.WithAttributes(
		attribute.String(names.Controller, r.controller),
		attribute.String(names.Namespace, name.Namespace),
		attribute.String(names.OwnerName, name.Name),
	))
	if p := r.take(name); p != nil {
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
	pass := &Pass{recorder: r, span: span}
	return context.WithValue(ctx, passKey{}, pass), pass
}

func (r *Recorder) take(name types.NamespacedName) *pending {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.triggers[name]
	delete(r.triggers, name)
	return p
}

// Pass is one reconcile. It is safe for concurrent use, because a pass sends requests at the same time.
type Pass struct {
	recorder *Recorder
	span     trace.Span
}

type passKey struct{}

// Note adds what makeAttributes returns to the span. It is called only if passes are recorded.
func (p *Pass) Note(makeAttributes func() []attribute.KeyValue) {
	if p != nil {
		p.span.SetAttributes(makeAttributes()...)
	}
}

// End ends the span. err is what came of the pass, requeueAfter in how long it asked for another; 0 if it did not.
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
	p.span.End(trace.WithTimestamp(p.recorder.clock.Now()))
}
