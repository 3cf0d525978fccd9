// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/test/wrappers"
)

// Subject is a controller that a scenario runs, and the kind of object that it reconciles.
type Subject interface {
	Name() string
	// MakeOwner returns an object that asks for Pods with the label app=web. On a node, which nobody runs, a deleted
	// Pod stays terminating; without one it is gone at once.
	MakeOwner(namespace string, replicas int32, node string) client.Object
	// Status returns what the object's status says.
	Status(owner client.Object) Status
	// Run runs the controller for one namespace until ctx ends. Before, it passes on how to ask of how many objects the
	// controller remembers something; if that cannot be asked, it does not.
	Run(ctx context.Context, cfg *rest.Config, namespace string, remembers func(count func() int)) error
}

// Status is the part of a status that both kinds of object have.
type Status struct {
	Replicas, FullyLabeled, Ready, Available, Terminating int32
	ObservedGeneration                                    int64
	// Conditions counts the conditions.
	Conditions int
}

// Ours is the TeachingReplicaSet controller.
type Ours struct {
	Scheme *runtime.Scheme
	// Configure changes the options of the manager; nil if nothing is to change.
	Configure func(*ctrl.Options)
}

var _ Subject = Ours{}

// Name implements Subject.
func (Ours) Name() string { return "podtrail" }

// MakeOwner implements Subject.
func (Ours) MakeOwner(namespace string, replicas int32, node string) client.Object {
	return wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(replicas).
		Template(func(s *corev1.PodSpec) { s.NodeName = node }).Obj()
}

// Status implements Subject.
func (Ours) Status(owner client.Object) Status {
	o, ok := owner.(*podtrailv1alpha1.TeachingReplicaSet)
	if !ok {
		return Status{}
	}
	return Status{
		Replicas: o.Status.Replicas, FullyLabeled: o.Status.FullyLabeledReplicas, Ready: o.Status.ReadyReplicas,
		Available: o.Status.AvailableReplicas, Terminating: ptr.Deref(o.Status.TerminatingReplicas, -1),
		ObservedGeneration: o.Status.ObservedGeneration, Conditions: len(o.Status.Conditions),
	}
}

// Run implements Subject.
func (s Ours) Run(ctx context.Context, cfg *rest.Config, namespace string, remembers func(count func() int)) error {
	byObject := controllers.CacheByObject()
	byObject[&podtrailv1alpha1.TeachingReplicaSet{}] = cache.ByObject{}
	for obj, options := range byObject {
		options.Field = fields.OneTermEqualSelector("metadata.namespace", namespace)
		byObject[obj] = options
	}
	options := ctrl.Options{
		Scheme:     s.Scheme,
		Cache:      cache.Options{ByObject: byObject},
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	}
	if s.Configure != nil {
		s.Configure(&options)
	}
	mgr, err := ctrl.NewManager(cfg, options)
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	store := expectations.New(clock.RealClock{})
	remembers(store.Len)
	if err := controllers.SetupWithManager(mgr, controllers.Options{Expectations: store}); err != nil {
		return fmt.Errorf("setting up the controller: %w", err)
	}
	return mgr.Start(ctx)
}
