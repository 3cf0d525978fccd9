// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/source"
)

const (
	// pendingShare is the part of the memory, a quarter, for observations that are not recorded yet, and namesShare the
	// part for the names of nodes.
	pendingShare = 4
	namesShare   = 8
	// maxPending bounds the number of observations that are not recorded yet.
	maxPending = 4096
	// smallBytes estimates what a move, a victim or a binding takes until it is recorded.
	smallBytes = 1024
)

// Recorder keeps decision records, bounded in bytes, and serves them (it is a source of telemetry/serve). Make one with
// NewRecorder.
type Recorder struct {
	limit   int64
	started time.Time
	tracer  trace.Tracer // nil if there are no spans
	kept    *buffer.Buffer
	names   *nodeSets
	queue   *queue
	budget  budget

	pending      chan pending
	pendingBytes atomic.Int64
	missed       atomic.Int64

	mu       sync.Mutex
	bindings map[types.UID]*binding
	profiles map[string]*profile
}

// pending is an observation that is not recorded yet.
type pending struct {
	bytes int64
	keep  func(context.Context)
}

// NewRecorder returns a recorder that holds at most limit bytes: three quarters in records and names of nodes, where
// the oldest go first, and one quarter in observations that are not recorded yet. With a tracer it reports spans too.
func NewRecorder(limit int64, tracer trace.Tracer) *Recorder {
	r := &Recorder{
		limit: limit, started: time.Now(), tracer: tracer,
		kept:     buffer.New(limit - limit/pendingShare - limit/namesShare),
		names:    &nodeSets{},
		pending:  make(chan pending, maxPending),
		bindings: map[types.UID]*binding{}, profiles: map[string]*profile{},
	}
	r.kept.OnDrop(func(e buffer.Entry) { r.names.release(e.Data) })
	r.queue = &queue{waiting: &waitingPods{pods: map[types.UID]waitingPod{}}, report: r.onMoved}
	return r
}

// Run records the observations until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-r.pending:
			p.keep(ctx)
			r.pendingBytes.Add(-p.bytes)
		}
	}
}

// submit passes an observation to Run. It never waits: an observation beyond the bound is dropped and counted.
func (r *Recorder) submit(bytes int64, keep func(context.Context)) {
	if r.pendingBytes.Add(bytes) > r.limit/pendingShare {
		r.pendingBytes.Add(-bytes)
		r.missed.Add(1)
		return
	}
	select {
	case r.pending <- pending{bytes: bytes, keep: keep}:
	default:
		r.pendingBytes.Add(-bytes)
		r.missed.Add(1)
	}
}

// keepAttempt records an attempt with its matrix. It evaluates as often as the budget allows. While many Pods come at
// once, some attempts are recorded without an evaluation.
func (r *Recorder) keepAttempt(ctx context.Context, a *attempt) {
	evaluate := a.observed.Nodes != nil && r.budget.allows(time.Now())
	a.record.Matrix, a.record.Evaluation = a.profile.evaluator.Record(ctx, &a.observed, evaluate,
		"too many attempts at once: evaluation gets a fiftieth of one processor")
	r.budget.spend(a.record.Evaluation.Took)
	r.keep(decision.Record{Pod: a.pod, Scheduler: a.profile.name, Time: a.began.UTC(), Attempt: &a.record})
	r.traceAttempt(ctx, a)
	a.release()
}

func (r *Recorder) keep(record decision.Record) {
	limit := r.limit / namesShare
	data, err := r.names.pack(record, limit)
	if err != nil { // a Record has nothing that cannot be encoded
		r.missed.Add(1)
		return
	}
	about := buffer.About{Namespace: record.Pod.Namespace, Pod: record.Pod.Name, Time: record.Time}
	if record.Victim != nil {
		about.Pod = "" // it concerns two Pods
	}
	r.kept.Add(buffer.Entry{About: about, Data: data})
	for r.names.held() > limit && r.kept.DropOldest() { // until the last record of an old set is gone
	}
}

// beginBinding records the attempt that placed a Pod, and expects its binding cycle.
func (r *Recorder) beginBinding(a *attempt) {
	b := &binding{attempt: a, began: time.Now()}
	r.mu.Lock()
	r.bindings[types.UID(a.pod.UID)] = b
	r.mu.Unlock()
	r.submit(a.bytes(), func(ctx context.Context) { r.keepAttempt(ctx, a) })
}

func (r *Recorder) bindingStep(pod *corev1.Pod, name string, began time.Time, status *fwk.Status) {
	r.mu.Lock()
	b := r.bindings[pod.UID]
	r.mu.Unlock()
	if b != nil {
		b.addStep(name, began, status)
	}
}

// endBinding records the binding cycle of a Pod, and reports whether there was one.
func (r *Recorder) endBinding(pod *corev1.Pod, outcome decision.Outcome, message string) bool {
	r.mu.Lock()
	b := r.bindings[pod.UID]
	delete(r.bindings, pod.UID)
	r.mu.Unlock()
	if b == nil {
		return false
	}
	record := b.record(outcome, message)
	r.submit(smallBytes, func(ctx context.Context) {
		r.keep(record)
		r.traceBinding(ctx, b, record)
	})
	return true
}

// wants reports whether a Pod's decisions are recorded.
func (r *Recorder) wants(pod *corev1.Pod) bool {
	p := r.profiles[pod.Spec.SchedulerName]
	return p != nil && p.plugin.Wants(pod.Namespace)
}

// Status returns what is kept, and what was lost.
func (r *Recorder) Status() source.Status {
	stats := r.kept.Stats()
	status := source.Status{
		Source: source.Decision, Since: r.started.UTC(),
		Kept: stats.Kept, KeptBytes: stats.Bytes + r.names.held(), Dropped: stats.Dropped,
	}
	if stats.Dropped > 0 {
		status.Since = stats.Since
	}
	if missed := r.missed.Load(); missed > 0 {
		status.Malformed = missed
		status.LastError = fmt.Sprintf("%d observations were not recorded: no more than %d bytes may wait to be recorded", missed, r.limit/pendingShare)
	}
	return status
}

// Records yields the records that match accepts, the oldest first.
func (r *Recorder) Records(match buffer.Match) iter.Seq[source.Record] {
	return func(yield func(source.Record) bool) {
		for entry := range r.kept.Entries(match) {
			data, err := r.names.unpack(entry.Data)
			switch {
			case errors.Is(err, errNoSet): // dropped while it was being read
			case err != nil: // it was encoded here, so it can be decoded
				r.missed.Add(1)
			case !yield(source.Record{Source: source.Decision, Data: data}):
				return
			}
		}
	}
}
