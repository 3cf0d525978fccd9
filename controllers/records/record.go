// SPDX-License-Identifier: Apache-2.0

// Package records keeps what a controller's passes saw, decided and wrote, so that a trail can show why a Pod was made
// or deleted. It holds a bounded amount in memory and serves it as JSON lines. A nil Buffer and a nil Pass do nothing,
// so a controller that keeps no records pays for a comparison with nil.
package records

import (
	"context"
	"sync"
	"time"
)

const (
	// maxTriggers bounds the triggers that one pass names; the number of the others is kept.
	maxTriggers = 32
	// maxRequests bounds the requests that one pass names; the number of the others is kept.
	maxRequests = 1200
)

// Trigger is one event that asked for a pass.
type Trigger struct {
	// Event is Added, Updated, Deleted or Requeued.
	Event           string    `json:"event"`
	Kind            string    `json:"kind"`
	Name            string    `json:"name"`
	ResourceVersion string    `json:"resourceVersion,omitempty"`
	At              time.Time `json:"at"`
}

// Request is one request that the pass sent to the API server.
type Request struct {
	Method string `json:"method"`
	URI    string `json:"uri"`
	// AuditID is the one under which the API server's audit log has the request.
	AuditID string    `json:"auditID"`
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	// Code is the HTTP status, 0 if there was no answer; Error then says why.
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
}

// Waiting is what the controller had written and not yet seen when the pass began.
type Waiting struct {
	Creations []string `json:"creations,omitempty"`
	Deletions []string `json:"deletions,omitempty"`
	// Stale says which cache lags behind which write; empty if none does. The pass is then put off.
	Stale string `json:"stale,omitempty"`
	// Cache holds the newest resourceVersion that each cache had seen.
	Cache map[string]string `json:"cache,omitempty"`
}

// Deletion is a Pod that was chosen for deletion and the rule that placed it before the next.
type Deletion struct {
	Pod  string `json:"pod"`
	Rule string `json:"rule"`
}

// Plan is what the pass decided to do.
type Plan struct {
	// Hold is why it neither creates nor deletes; empty if it may.
	Hold    string     `json:"hold,omitempty"`
	Desired int        `json:"desired"`
	Current int        `json:"current"`
	Create  []string   `json:"create,omitempty"`
	Delete  []Deletion `json:"delete,omitempty"`
}

// Record is one pass over one object.
type Record struct {
	Controller string `json:"controller"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
	Generation int64  `json:"generation,omitempty"`

	// Triggers holds the events that were merged into this pass, the first one first.
	Triggers []Trigger `json:"triggers,omitempty"`
	// MoreTriggers is how many there were beside those.
	MoreTriggers int `json:"moreTriggers,omitempty"`
	// QueueSeconds is how long the first trigger waited for the pass; 0 if it was not triggered by an event.
	QueueSeconds float64 `json:"queueSeconds"`

	Start   time.Time `json:"start"`
	Seconds float64   `json:"seconds"`
	Waiting Waiting   `json:"waiting"`
	// Verdicts says what each observed Pod that is not ignored was to the object.
	Verdicts     map[string]string `json:"verdicts,omitempty"`
	Plan         *Plan             `json:"plan,omitempty"`
	Requests     []Request         `json:"requests,omitempty"`
	MoreRequests int               `json:"moreRequests,omitempty"`
	Error        string            `json:"error,omitempty"`
	// RequeueSeconds is in how long another pass was asked for; 0 if none was.
	RequeueSeconds float64 `json:"requeueSeconds,omitempty"`
}

// Pass is a Record in the making. It is safe for concurrent use, because a pass sends requests at the same time.
type Pass struct {
	buffer *Buffer
	mu     sync.Mutex
	record Record
}

// Note changes the record.
func (p *Pass) Note(change func(*Record)) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.record)
}

// End completes the record and puts it into the buffer.
func (p *Pass) End(err error, requeueAfter time.Duration) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record.Seconds = p.buffer.clock.Since(p.record.Start).Seconds()
	p.record.RequeueSeconds = requeueAfter.Seconds()
	if err != nil {
		p.record.Error = err.Error()
	}
	p.buffer.keep(&p.record)
}

func (p *Pass) request(r Request) {
	p.Note(func(record *Record) {
		if len(record.Requests) == maxRequests {
			record.MoreRequests++
			return
		}
		record.Requests = append(record.Requests, r)
	})
}

type passKey struct{}

// Context returns a context whose requests, if they go through Transport, belong to the pass.
func (p *Pass) Context(ctx context.Context) context.Context {
	if p == nil {
		return ctx
	}
	return context.WithValue(ctx, passKey{}, p)
}
