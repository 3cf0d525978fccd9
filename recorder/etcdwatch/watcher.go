// SPDX-License-Identifier: Apache-2.0

// Package etcdwatch watches the control plane's etcd for Pods, workloads and our custom resource, and for the Leases
// of nodes. It only reads.
package etcdwatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

const (
	// pageSize bounds how many objects one answer holds while the present ones are read.
	pageSize = 100
	// answerTimeout bounds one answer.
	answerTimeout = 30 * time.Second
	// firstRetry and lastRetry bound the pause after a failure, which doubles.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// Watcher keeps each revision of the watched keys, from those that are there when it starts. It is a runnable of a
// controller-runtime manager. Make one with New.
type Watcher struct {
	config  Config
	prefix  string
	stored  *evidence.Store
	renewed *evidence.Store
	now     func() time.Time

	mu   sync.Mutex
	uids map[string]string // of the present keys, because a deletion tells none; one entry for each object
	// opted says of each namespace that was asked for or seen whether it opted in.
	opted map[string]bool
}

// New returns a watcher that keeps revisions in stored and renewals of nodes' Leases in renewed. Prefix is the API
// server's --etcd-prefix, /registry by default.
func New(config Config, prefix string, stored, renewed *evidence.Store) (*Watcher, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Watcher{config: config, prefix: prefix, stored: stored, renewed: renewed, now: time.Now}, nil
}

// Start watches until the context ends. Whatever fails is told in Status, logged when it begins, and tried again;
// what was written meanwhile is then known by its last revision alone, and Status says since when all is known.
func (w *Watcher) Start(ctx context.Context) error {
	log := ctrl.LoggerFrom(ctx).WithValues("source", w.stored.Name(), "endpoint", w.config.Endpoint)
	retry := firstRetry
	for {
		begun := w.now()
		err := w.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		w.renewed.Report(err)
		if w.stored.Report(err) {
			log.Error(err, "Could not watch etcd; trying again")
		}
		if w.now().Sub(begun) > lastRetry { // it had been well
			retry = firstRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
		}
		retry = min(2*retry, lastRetry)
		w.stored.Gap(w.now())
		w.renewed.Gap(w.now())
	}
}

// watch reads what is there and then follows it; it returns when the context ends or something fails.
func (w *Watcher) watch(ctx context.Context) error {
	client, err := Connect(w.config)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // nothing was written
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	w.mu.Lock()
	w.uids, w.opted = map[string]string{}, map[string]bool{}
	w.mu.Unlock()
	follow := []following{{namespaces, func(_ context.Context, kv *mvccpb.KeyValue, _ string) { w.namespace(kv) }}, {leases, w.lease}}
	for _, of := range recorded {
		follow = append(follow, following{of, func(ctx context.Context, kv *mvccpb.KeyValue, event string) {
			w.keep(ctx, client, of, kv, event)
		}})
	}
	failed := make(chan error, len(follow))
	for _, f := range follow { // one after the other, namespaces first: they say what of the others may be kept
		revision, err := w.list(ctx, client, f)
		if err != nil {
			return err
		}
		go func() { failed <- w.follow(ctx, client, f, revision+1) }()
	}
	w.stored.Report(nil)
	w.renewed.Report(nil)
	return <-failed
}

// following is a prefix and what takes its keys.
type following struct {
	of   resource
	take func(ctx context.Context, kv *mvccpb.KeyValue, event string)
}

func (w *Watcher) path(of resource) string { return w.prefix + "/" + of.prefix }

// list hands over all present keys of a prefix, a page at a time, as of the revision that it returns.
func (w *Watcher) list(ctx context.Context, client *clientv3.Client, f following) (int64, error) {
	path, revision := w.path(f.of), int64(0)
	end := clientv3.GetPrefixRangeEnd(path)
	for from := path; ; {
		page, err := get(ctx, client, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
		if err != nil {
			return 0, err
		}
		revision = page.Header.Revision
		for _, kv := range page.Kvs {
			f.take(ctx, kv, source.StoredFound)
		}
		if !page.More || len(page.Kvs) == 0 {
			return revision, nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

func get(ctx context.Context, client *clientv3.Client, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := client.Get(ctx, key, options...)
	if err != nil {
		return nil, fmt.Errorf("reading %s from etcd: %w", key, err)
	}
	return answer, nil
}

var errEnded = errors.New("the watch ended")

// follow hands over each change from a revision on. The client resumes a watch whose connection broke.
func (w *Watcher) follow(ctx context.Context, client *clientv3.Client, f following, revision int64) error {
	path := w.path(f.of)
	for answer := range client.Watch(ctx, path, clientv3.WithPrefix(), clientv3.WithRev(revision)) {
		if err := answer.Err(); err != nil {
			return fmt.Errorf("watching %s in etcd: %w", path, err)
		}
		for _, event := range answer.Events {
			kind := source.StoredPut
			if event.Type == clientv3.EventTypeDelete {
				kind = source.StoredDelete
			}
			f.take(ctx, event.Kv, kind)
		}
	}
	return fmt.Errorf("watching %s in etcd: %w", path, errEnded)
}

// keep holds one revision of an object.
func (w *Watcher) keep(ctx context.Context, client *clientv3.Client, of resource, kv *mvccpb.KeyValue, event string) {
	var stored source.Stored
	if event == source.StoredDelete {
		stored = w.deleted(of, kv)
	} else {
		var err error
		stored, err = describe(of, kv, func(namespace string) bool { return w.optedIn(ctx, client, namespace) })
		if err != nil { // what can be told without its content is kept all the same
			w.stored.Malformed()
		}
		stored.Event = event
		w.remember(stored)
	}
	stored.Seen = w.now().UTC()
	data, err := json.Marshal(stored)
	if err != nil {
		w.stored.Malformed()
		return
	}
	about := buffer.About{Namespace: stored.Namespace, Time: stored.Seen}
	if stored.Kind == "Pod" {
		about.Pod = stored.Name
	}
	w.stored.Keep(about, data)
}

func (w *Watcher) remember(stored source.Stored) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uids[stored.Key] = stored.UID
}

func (w *Watcher) deleted(of resource, kv *mvccpb.KeyValue) source.Stored {
	key := string(kv.Key)
	stored := source.Stored{Event: source.StoredDelete, Key: key, ModRevision: kv.ModRevision, Kind: of.kind}
	stored.Namespace, stored.Name = nameOf(of, key)
	w.mu.Lock()
	defer w.mu.Unlock()
	stored.UID = w.uids[key]
	delete(w.uids, key)
	return stored
}

// optedIn says whether a namespace lets its values be kept. One that was not seen yet, because its watch lags behind,
// is asked for.
func (w *Watcher) optedIn(ctx context.Context, client *clientv3.Client, namespace string) bool {
	w.mu.Lock()
	opted, known := w.opted[namespace]
	w.mu.Unlock()
	if known {
		return opted
	}
	answer, err := get(ctx, client, w.path(namespaces)+namespace)
	if err != nil || len(answer.Kvs) == 0 {
		return false
	}
	return w.namespace(answer.Kvs[0])
}

// namespace learns whether a namespace opted in. A deleted one has no value, and is forgotten with that.
func (w *Watcher) namespace(kv *mvccpb.KeyValue) bool {
	_, name := nameOf(namespaces, string(kv.Key))
	var ns corev1.Namespace
	_, err := decode(kv.Value, &ns)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(kv.Value) == 0 {
		delete(w.opted, name)
		return false
	}
	w.opted[name] = err == nil && ns.Labels[RecordingLabel] == RecordingEnabled
	return w.opted[name]
}

// lease keeps one renewal.
func (w *Watcher) lease(_ context.Context, kv *mvccpb.KeyValue, event string) {
	if event == source.StoredDelete {
		w.renewed.Filtered(1)
		return
	}
	r, err := renewal(kv)
	if err != nil {
		w.renewed.Malformed()
		return
	}
	data, err := json.Marshal(r)
	if err != nil {
		w.renewed.Malformed()
		return
	}
	w.renewed.Keep(buffer.About{Time: r.RenewTime}, data) // a node is in no namespace
}
