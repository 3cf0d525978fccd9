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
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/recorder/redact"
	"podtrail.dev/podtrail/telemetry/buffer"
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
	*evidence.Store

	path   string
	limits limits
}

// limits are the follower's constants; tests make them smaller.
type limits struct {
	poll    time.Duration
	maxLine int
}

// New returns a follower that puts what it keeps into the store. The file need not exist; Status says if it does not.
func New(path string, kept *evidence.Store) *Follower {
	return &Follower{Store: kept, path: path, limits: limits{poll: pollInterval, maxLine: maxLineBytes}}
}

// Start follows the log until the context ends. No content of the file and no error in reading it ends it earlier:
// lines that cannot be understood are counted, errors are shown in Status, logged once each, and tried again.
func (f *Follower) Start(ctx context.Context) error {
	t := newTail(f.path, &splitter{max: f.limits.maxLine, line: f.take, lost: f.Malformed})
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
	changed := f.Report(err)
	log := ctrl.LoggerFrom(ctx).WithValues("source", f.Name(), "path", f.path)
	switch {
	case !changed:
	case err == nil:
		log.Info("The audit log can be read again")
	case errors.Is(err, fs.ErrNotExist):
		log.Info("There is no audit log here; waiting for one", "reason", err.Error())
	default:
		log.Error(err, "Could not read the audit log; trying again")
	}
}

// take handles one whole line of the log.
func (f *Follower) take(line []byte) {
	e, err := parse(line)
	if err != nil {
		f.Malformed()
		return
	}
	if !keep(e) {
		if isProbe(e) {
			f.Probed(e.AuditID, e.RequestReceivedTimestamp)
		}
		f.Filtered(1)
		return
	}
	clean, err := redact.JSON(line)
	if err != nil { // never keep what could not be looked through
		f.Malformed()
		return
	}
	// The splitter reuses the line's bytes.
	f.Keep(about(e), bytes.Clone(clean))
}

// about says what an event that is kept is about. Of a Pod that the API server has yet to name, the answer has the name,
// if the audit level keeps answers.
func about(e event) buffer.About {
	out := buffer.About{Namespace: e.ObjectRef.Namespace, Time: e.StageTimestamp}
	if e.ObjectRef.APIGroup != "" || e.ObjectRef.Resource != "pods" {
		return out
	}
	out.Pod = e.ObjectRef.Name
	if out.Pod == "" && e.Verb == "create" {
		out.Pod = e.ResponseObject.Metadata.Name
	}
	return out
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
