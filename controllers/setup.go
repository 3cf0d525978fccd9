// SPDX-License-Identifier: Apache-2.0

// Package controllers reconciles TeachingReplicaSets. It holds what talks to the API server; what decides is in
// controllers/replicas and has no client.
package controllers

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/source"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/controllers/records"
)

// Name is the controller's name: in logs, metrics and events, and as the field manager of its writes.
const Name = "teachingreplicaset"

// defaultWorkers is kube-controller-manager's --concurrent-replicaset-syncs.
const defaultWorkers = 5

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
		WithOptions(controller.Options{MaxConcurrentReconciles: o.MaxConcurrentReconciles}).
		Complete(r)
}
