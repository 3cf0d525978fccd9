// SPDX-License-Identifier: Apache-2.0

// Package controllers reconciles TeachingReplicaSets. It holds what talks to the API server; what decides is in
// controllers/replicas and has no client.
package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"

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
	// Records keeps what each reconcile saw, decided and wrote; nil keeps nothing. For the Audit-IDs of the writes the
	// manager's rest.Config must have been wrapped with records.Transport. The buffer is an http.Handler; serve it as
	// /v1/records behind the metrics endpoint's authentication.
	Records *records.Buffer
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
	r := &Reconciler{
		client:       mgr.GetClient(),
		live:         mgr.GetAPIReader(),
		view:         indexed,
		expectations: expectations.New(clock.RealClock{}),
		events:       mgr.GetEventRecorder(Name + "-controller"),
		clock:        clock.RealClock{},
		records:      o.Records,
	}
	w := &watcher{view: r.view, expectations: r.expectations, records: o.Records}
	return ctrl.NewControllerManagedBy(mgr).
		Named(Name).
		Watches(&podtrailv1alpha1.TeachingReplicaSet{}, w.ownerHandler()).
		Watches(&corev1.Pod{}, w.podHandler()).
		WithOptions(controller.Options{MaxConcurrentReconciles: o.MaxConcurrentReconciles}).
		Complete(r)
}
