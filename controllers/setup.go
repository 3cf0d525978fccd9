// SPDX-License-Identifier: Apache-2.0

// Package controllers reconciles TeachingReplicaSets. It contains the code that talks to the API server; the code that
// decides is in controllers/replicas and has no client.
package controllers

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/controllers/tracing"
)

// Name is the controller's name in logs, metrics and events, and the field manager of its writes.
const Name = "teachingreplicaset"

// defaultWorkers is kube-controller-manager's --concurrent-replicaset-syncs.
const defaultWorkers = 5

// A failed pass is retried after firstRetry, then after twice as long each time, up to lastRetry.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 1000 * time.Second
)

// Options configure the controller.
type Options struct {
	// MaxConcurrentReconciles is how many objects are reconciled at the same time; a single object is never reconciled
	// twice at the same time. 0 means 5, as in kube-controller-manager.
	MaxConcurrentReconciles int
	// Expectations is where the controller remembers the writes that its cache does not show yet; nil makes a new store.
	Expectations *expectations.Store
	// Tracer makes a span of each reconcile: its triggers, what it saw, decided and wrote; nil makes none. The Audit-IDs
	// of the writes are in it only if the manager's rest.Config was wrapped with tracing.Transport.
	Tracer trace.Tracer
}

// SetupWithManager registers the indexes, the watches and the reconciler. The manager's cache should be configured with
// CacheByObject and must not be split by namespace.
func SetupWithManager(mgr ctrl.Manager, o Options) error {
	if o.MaxConcurrentReconciles < 0 {
		return fmt.Errorf("MaxConcurrentReconciles is %d; set 1 or more, or 0 for %d",
			o.MaxConcurrentReconciles, defaultWorkers)
	}
	if o.MaxConcurrentReconciles == 0 {
		o.MaxConcurrentReconciles = defaultWorkers
	}
	indexed, err := newView(context.Background(), mgr.GetCache())
	if err != nil {
		return err
	}
	if o.Expectations == nil {
		o.Expectations = expectations.New(clock.RealClock{})
	}
	tracer, alarms := tracing.New(Name, o.Tracer, clock.RealClock{}), &alarm{}
	r := &Reconciler{
		client:       mgr.GetClient(),
		live:         mgr.GetAPIReader(),
		view:         indexed,
		expectations: o.Expectations,
		events:       mgr.GetEventRecorder(Name + "-controller"),
		clock:        clock.RealClock{},
		wake:         alarms.set,
		tracer:       tracer,
	}
	w := &watcher{view: r.view, expectations: r.expectations, tracer: tracer}
	return ctrl.NewControllerManagedBy(mgr).
		Named(Name).
		Watches(&podtrailv1alpha1.TeachingReplicaSet{}, w.ownerHandler()).
		Watches(&corev1.Pod{}, w.podHandler()).
		WatchesRawSource(source.Func(alarms.start)).
		WithOptions(queueOptions(o.MaxConcurrentReconciles)).
		Complete(r)
}

// queueOptions selects client-go's queue. The priority queue of controller-runtime v0.24, its default, can deadlock
// when it is shut down (controller-runtime#3538), so that a manager does not end, or ends only after its whole grace
// period while it still renews its Lease. The fix (#3540) is in v0.25, which needs Kubernetes 1.37; once that is what
// is built against, remove this function. See docs/decisions/0035-no-priority-queue.md.
func queueOptions(workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		UsePriorityQueue:        new(false),
		// The same back-off as the priority queue's. The default of client-go's queue also limits all objects together to
		// 10 retries a second, so one namespace with a full quota would delay the retries of every other.
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
	}
}
