// SPDX-License-Identifier: Apache-2.0

// Package auditlog follows the API server's audit log on the control-plane node and keeps the events that a trail
// can need, without the secrets in them.
package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"sync"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

const (
	// pollInterval is how long a new event may go unseen. A reader waits for it at most once; a poll with nothing
	// new costs two stats.
	pollInterval = 200 * time.Millisecond
	// maxLineBytes bounds one event. The API server takes bodies of up to 3 MiB and stores at most 1.5 MiB; an event
	// may hold the body that was sent, the one that was returned, and the webhooks' patches.
	maxLineBytes = 8 << 20
)

// Follower reads the audit log at a path from the start of the present file on, and then as it grows. It is a
// runnable of a controller-runtime manager. Make one with New.
type Follower struct {
	path   string
	node   string
	kept   *buffer.Buffer
	start  time.Time
	limits limits

	mu     sync.Mutex
	counts counts
}

// limits are the follower's constants; tests make them smaller.
type limits struct {
	poll    time.Duration
	maxLine int
}

type counts struct {
	filtered  int64
	malformed int64
	lastError string
}

// New returns a follower that puts what it keeps into the buffer. The file need not exist: a worker node has no
// audit log, and says so in its Status.
func New(path, node string, kept *buffer.Buffer) *Follower {
	return &Follower{
		path: path, node: node, kept: kept, start: time.Now(),
		limits: limits{poll: pollInterval, maxLine: maxLineBytes},
	}
}

// Start follows the log until the context ends. No content of the file and no error in reading it ends it earlier:
// lines that cannot be understood are counted, errors are shown in Status, logged once each, and tried again.
func (f *Follower) Start(ctx context.Context) error {
	t := newTail(f.path, &splitter{max: f.limits.maxLine, line: f.take, lost: f.lose})
	defer t.close()
	ticker := time.NewTicker(f.limits.poll)
	defer ticker.Stop()
	for {
		f.report(ctx, t.poll(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// report remembers the outcome of a poll and logs it when it differs from the one before.
func (f *Follower) report(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	f.mu.Lock()
	before := f.counts.lastError
	f.counts.lastError = text
	f.mu.Unlock()

	log := ctrl.LoggerFrom(ctx).WithValues("source", source.Audit, "path", f.path)
	switch {
	case text == before:
	case err == nil:
		log.Info("The audit log can be read again")
	case errors.Is(err, fs.ErrNotExist):
		log.Info("There is no audit log here; waiting for one", "reason", text)
	default:
		log.Error(err, "Could not read the audit log; trying again")
	}
}

// take handles one whole line of the log.
func (f *Follower) take(line []byte) {
	e, err := parse(line)
	if err != nil {
		f.lose()
		return
	}
	if !keep(e) {
		f.count(func(c *counts) { c.filtered++ })
		return
	}
	clean, err := redact(line)
	if err != nil { // never keep what could not be looked through
		f.lose()
		return
	}
	// The splitter reuses the line's bytes.
	f.kept.Add(buffer.Entry{Namespace: e.ObjectRef.Namespace, Time: e.StageTimestamp, Data: bytes.Clone(clean)})
}

func (f *Follower) lose() {
	f.count(func(c *counts) { c.malformed++ })
}

func (f *Follower) count(change func(*counts)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.counts)
}

// Status says what the follower holds and what it saw and did not keep.
func (f *Follower) Status() source.Status {
	stats := f.kept.Stats()
	f.mu.Lock()
	defer f.mu.Unlock()
	since := stats.Since
	if since.IsZero() {
		since = f.start
	}
	return source.Status{
		Source: source.Audit, Node: f.node, Since: since,
		Kept: stats.Kept, KeptBytes: stats.Bytes, Dropped: stats.Dropped,
		Filtered: f.counts.filtered, Malformed: f.counts.malformed, LastError: f.counts.lastError,
	}
}

// Records yields the kept events of the namespaces that match accepts, the oldest first.
func (f *Follower) Records(match func(namespace string) bool) iter.Seq[source.Record] {
	return func(yield func(source.Record) bool) {
		for entry := range f.kept.Entries(match) {
			if !yield(source.Record{Source: source.Audit, Node: f.node, Data: entry.Data}) {
				return
			}
		}
	}
}

var errNotAnEvent = errors.New("not an " + auditv1.GroupName + "/v1 Event")

// parse reads what decides whether a line is kept, and checks that the whole line is one JSON object.
func parse(line []byte) (event, error) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return event{}, err
	}
	if e.Kind != "Event" || e.APIVersion != auditv1.SchemeGroupVersion.String() || e.AuditID == "" {
		return event{}, errNotAnEvent
	}
	return e, nil
}
