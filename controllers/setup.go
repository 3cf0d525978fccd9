// SPDX-License-Identifier: Apache-2.0

// Package controllers reconciles TeachingReplicaSets. It holds what talks to the API server; what decides is in
// controllers/replicas and has no client.
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
	"podtrail.dev/podtrail/controllers/records"
)

// Name is the controller's name: in logs, metrics and events, and as the field manager of its writes.
const Name = "teachingreplicaset"

// defaultWorkers is kube-controller-manager's --concurrent-replicaset-syncs.
const defaultWorkers = 5

// A failed pass is retried after firstRetry, then after twice as long each time, up to lastRetry.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 1000 * time.Second
)

// Options are what the manager's flags decide.
type Options struct {
	// MaxConcurrentReconciles is how many objects are reconciled at the same time; one object never is twice.
	// 0 means 5, as in kube-controller-manager.
	MaxConcurrentReconciles int
	// Expectations is where the controller remembers what it wrote and has not yet seen; nil makes a store of its own.
	Expectations *expectations.Store
	// Tracer makes a span of each reconcile: what asked for it, what it saw, decided and wrote; nil makes none. For the
	// Audit-IDs of the writes the manager's rest.Config must have been wrapped with records.Transport.
	Tracer trace.Tracer
}

// SetupWithManager registers the indexes, the watches and the reconciler. The manager's cache should be made with
// CacheByObject and must not be split by namespace.
func SetupWithManager(mgr ctrl.Manager, o Options) error {
	if o.MaxConcurrentReconciles < 0 {
		return fmt.Errorf("MaxConcurrentReconciles is %d; give 1 or more, or 0 for %d",
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
	recorder, alarms := records.New(Name, o.Tracer, clock.RealClock{}), &alarm{}
	r := &Reconciler{
		client:       mgr.GetClient(),
		live:         mgr.GetAPIReader(),
		view:         indexed,
		expectations: o.Expectations,
		events:       mgr.GetEventRecorder(Name + "-controller"),
		clock:        clock.RealClock{},
		wake:         alarms.set,
		records:      recorder,
	}
	w := &watcher{view: r.view, expectations: r.expectations, records: recorder}
	return ctrl.NewControllerManagedBy(mgr).
		Named(Name).
		Watches(&podtrailv1alpha1.TeachingReplicaSet{}, w.ownerHandler()).
		Watches(&corev1.Pod{}, w.podHandler()).
		WatchesRawSource(source.Func(alarms.start)).
		WithOptions(queueOptions(o.MaxConcurrentReconciles)).
		Complete(r)
}

// queueOptions selects client-go's queue. The priority queue of controller-runtime v0.24, its default, can deadlock when
// it is shut down (controller-runtime#3538), so that a manager does not end, or ends only after its whole grace period
// while it still renews its Lease. The fix (#3540) is in v0.25, which needs Kubernetes 1.37; once that is what is built
// against, remove this function. See docs/decisions/0035-no-priority-queue.md.
func queueOptions(workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		UsePriorityQueue:        new(false),
		// The same back-off as the priority queue's. The default of client-go's queue also limits all objects together to
		// 10 retries a second, so one namespace with a full quota would delay the retries of every other.
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
	}
}
