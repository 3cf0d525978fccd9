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
	// pendingShare is the part of the memory that may be taken by what was seen and is not yet recorded, namesShare the part
	// for the names of nodes.
	pendingShare = 4
	namesShare   = 8
	// maxPending bounds how many such things there are.
	maxPending = 4096
	// smallBytes is about what a move, a victim or a binding takes until it is recorded.
	smallBytes = 1024
)

// Recorder keeps decision records, bounded in bytes, and serves them (it is a source of telemetry/serve). Make one with
// NewRecorder.
type Recorder struct {
	limit   int64
	started time.Time
	tracer  trace.Tracer // nil if spans go nowhere
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

// pending is something seen that is to be recorded.
type pending struct {
	bytes int64
	keep  func(context.Context)
}

// NewRecorder returns a recorder that holds at most limit bytes: three quarters in records, the oldest of which go
// first, and one quarter in what is not yet recorded. With a tracer it reports spans too.
func NewRecorder(limit int64, tracer trace.Tracer) *Recorder {
	r := &Recorder{
		limit: limit, started: time.Now(), tracer: tracer,
		kept:     buffer.New(limit - limit/pendingShare - limit/namesShare),
		names:    &nodeSets{},
		pending:  make(chan pending, maxPending),
		bindings: map[types.UID]*binding{}, profiles: map[string]*profile{},
	}
	r.kept.OnDrop(func(e buffer.Entry) { r.names.release(e.Data) })
	r.queue = &queue{waiting: &waiting{pods: map[types.UID]waiter{}}, report: r.moved}
	return r
}

// Run records what was seen until ctx ends.
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

// submit hands something over to Run. It never waits: what does not fit into the bound is missed and counted.
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

// keepAttempt makes the attempt's matrix. It evaluates as often as the budget allows; while many Pods come at once, some
// attempts are recorded as they were seen alone.
func (r *Recorder) keepAttempt(ctx context.Context, a *attempt) {
	afresh := a.seen.Nodes != nil && r.budget.allows(time.Now())
	a.told.Matrix, a.told.Evaluation = a.profile.evaluator.Record(ctx, &a.seen, afresh,
		"too many attempts at once: evaluation gets a fiftieth of one processor")
	r.budget.spend(a.told.Evaluation.Took)
	r.keep(decision.Record{Pod: a.pod, Scheduler: a.profile.name, Time: a.began.UTC(), Attempt: &a.told})
	r.traceAttempt(ctx, a)
	a.recorded()
}

func (r *Recorder) keep(record decision.Record) {
	most := r.limit / namesShare
	data, err := r.names.pack(record, most)
	if err != nil { // a Record has nothing that cannot be encoded
		r.missed.Add(1)
		return
	}
	about := buffer.About{Namespace: record.Pod.Namespace, Pod: record.Pod.Name, Time: record.Time}
	if record.Victim != nil {
		about.Pod = "" // it is on the way of two Pods
	}
	r.kept.Add(buffer.Entry{About: about, Data: data})
	for r.names.held() > most && r.kept.DropOldest() { // until the last record of an old set has gone
	}
}

// beginBinding records the attempt that placed a Pod, and awaits its binding cycle.
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
		b.step(name, began, status)
	}
}

// endBinding records the binding cycle of a Pod; it returns false if there is none.
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

// wants says whether a Pod's decisions are recorded.
func (r *Recorder) wants(pod *corev1.Pod) bool {
	p := r.profiles[pod.Spec.SchedulerName]
	return p != nil && p.plugin.Wants(pod.Namespace)
}

// Status says what is held.
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
		status.LastError = fmt.Sprintf("%d things were seen and not recorded: the bound of %d bytes left no room for what waits", missed, r.limit/pendingShare)
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
