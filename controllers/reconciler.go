// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/controllers/tracing"
)

// fieldOwner names this controller in the managedFields of what it writes.
const fieldOwner = client.FieldOwner(Name)

// staleRecheck is the delay before a pass that was skipped because a cache lags behind this controller's own writes is
// retried. Usually the event that ends the lag arrives first.
const staleRecheck = 50 * time.Millisecond

// Reconciler brings the number of a TeachingReplicaSet's Pods to the desired one.
type Reconciler struct {
	client       client.Client
	live         client.Reader
	view         *view
	expectations *expectations.Store
	events       events.EventRecorder
	clock        clock.PassiveClock
	// wake schedules a pass over an object after a delay, independently of the back-off of a failed pass.
	wake func(types.NamespacedName, time.Duration)
	// tracer makes a span of each pass; nil makes none.
	tracer *tracing.Tracer
}

var _ reconcile.Reconciler = &Reconciler{}

// Reconcile observes once, plans purely, acts, and writes the status whether or not acting succeeded. Mirrors
// syncReplicaSet in Kubernetes' pkg/controller/replicaset/replica_set.go.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	if ctx.Err() != nil {
		// A queue that was shut down still hands out the objects it holds. Nothing can be written for them any more.
		return ctrl.Result{}, nil //nolint:nilerr // The end of the context is no failure of this pass.
	}
	ctx, pass := r.tracer.Start(ctx, request.NamespacedName)
	result, err := r.reconcile(ctx, request, pass)
	pass.End(err, result.RequeueAfter)
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, request ctrl.Request, pass *tracing.Pass) (ctrl.Result, error) {
	r.noteVersions(pass, request.NamespacedName)
	if stale := r.expectations.CaughtUp(request.NamespacedName, r.view.resourceVersion); stale != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("Skipped", "reason", stale.Error())
		noteStale(pass, stale)
		staleSkips.Inc()
		return ctrl.Result{RequeueAfter: staleRecheck}, nil
	}
	owner, exists := r.view.owner(request.NamespacedName)
	if !exists {
		r.expectations.Forget(request.NamespacedName, "")
		return ctrl.Result{}, nil
	}
	seen, err := r.observe(owner)
	if errors.Is(err, errSelector) {
		// The selector is immutable, so a retry would fail in the same way.
		err = errors.Join(err, r.writeStatus(ctx, owner, replicas.InvalidStatus(owner, err, r.clock.Now())))
		return ctrl.Result{}, reconcile.TerminalError(err)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("observing: %w", err)
	}

	claims := replicas.ClaimPods(seen)
	r.noteObserved(pass, owner, claims)
	active, claimErr := r.claimPods(ctx, owner, claims)
	outcome := replicas.Outcome{Unknown: claimErr != nil}
	if claimErr == nil {
		outcome.Plan = replicas.MakePlan(seen, active)
		notePlan(pass, outcome.Plan)
		var created []*corev1.Pod
		created, outcome.Err = r.manageReplicas(ctx, owner, outcome.Plan)
		active = append(active, created...)
	}
	outdated := errors.Is(outcome.Err, errOutdated)
	if outdated {
		outcome.Err, outcome.Unknown = nil, true
	}

	status := replicas.CalculateStatus(seen, active, claims.Terminating, outcome)
	statusErr := r.writeStatus(ctx, owner, status)
	available := nextAvailable(owner, seen, active, status)
	if err := errors.Join(claimErr, outcome.Err, statusErr); err != nil {
		if available > 0 {
			// The back-off of a failed pass grows, but Pods become available by the clock.
			r.wake(request.NamespacedName, available)
		}
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: nextPass(outcome.Plan, outdated, available)}, nil
}

// errSelector reports a selector that selects nothing because it is not well formed. The API server lets it through: it
// validates a custom resource by its schema only, which cannot express all rules for labels.
var errSelector = errors.New("spec.selector is invalid")

// observe gathers what one pass knows, from the cache only. It checks whether earlier writes have been seen before it
// lists the Pods: a write that the cache shows in between is then still expected, and the next pass counts it.
func (r *Reconciler) observe(owner *podtrailv1alpha1.TeachingReplicaSet) (*replicas.Observation, error) {
	selector, err := metav1.LabelSelectorAsSelector(&owner.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSelector, err)
	}
	pending, doubtful := !r.expectations.Satisfied(identity(owner)), r.expectations.Doubtful(identity(owner))
	pods, err := r.view.podsFor(owner)
	if err != nil {
		return nil, err
	}
	related, err := r.view.relatedPods(owner)
	if err != nil {
		return nil, err
	}
	return &replicas.Observation{
		Owner:     owner,
		Selector:  selector,
		Pods:      pods,
		Related:   related,
		Pending:   pending,
		Doubtful:  doubtful,
		NameTaken: r.view.nameTaken(owner, pods),
		Now:       r.clock.Now(),
	}, nil
}

// nextPass returns the delay until the object needs another pass although no event calls for one, or 0 if it needs
// none.
func nextPass(plan replicas.Plan, outdated bool, available time.Duration) time.Duration {
	next := available
	sooner := func(wait time.Duration) {
		if next == 0 || wait < next {
			next = wait
		}
	}
	if outdated {
		sooner(staleRecheck)
	}
	if plan.Hold == replicas.HoldPending {
		sooner(expectations.Timeout)
	}
	return next
}

// nextAvailable returns the time until the next ready Pod becomes available, or 0 if no Pod is waiting.
func nextAvailable(owner *podtrailv1alpha1.TeachingReplicaSet, seen *replicas.Observation, active []*corev1.Pod,
	status podtrailv1alpha1.TeachingReplicaSetStatus,
) time.Duration {
	if status.ReadyReplicas == status.AvailableReplicas {
		return 0
	}
	if next := replicas.NextAvailability(active, owner.Spec.MinReadySeconds, seen.Now); next > 0 {
		return next
	}
	// A ready Pod without a transition time is checked again after minReadySeconds, as upstream does.
	return time.Duration(owner.Spec.MinReadySeconds) * time.Second
}

// writeStatus writes the status if it differs from the cached one. A failed write is retried once on the object as the
// API server has it now, with the generation that this pass acted on: a newer one has not been observed. Mirrors
// updateReplicaSetStatus in replica_set_utils.go.
func (r *Reconciler) writeStatus(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, status podtrailv1alpha1.TeachingReplicaSetStatus) error {
	if !replicas.StatusChanged(&owner.Status, &status) {
		return nil
	}
	updated := owner.DeepCopy()
	updated.Status = status
	err := r.client.Status().Update(ctx, updated, fieldOwner)
	if err != nil {
		updated = &podtrailv1alpha1.TeachingReplicaSet{}
		if err := r.live.Get(ctx, client.ObjectKeyFromObject(owner), updated); err != nil {
			return ignoreGone(fmt.Errorf("reading the object to write its status again: %w", err))
		}
		if updated.UID != owner.UID {
			return nil
		}
		updated.Status = status
		err = r.client.Status().Update(ctx, updated, fieldOwner)
	}
	if err != nil {
		return ignoreGone(fmt.Errorf("writing the status: %w", err))
	}
	r.expectations.Wrote(identity(owner), resourceOwners, updated.ResourceVersion)
	return nil
}

// ignoreGone returns nil if err reports that the object has been deleted, and err otherwise.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func identity(owner *podtrailv1alpha1.TeachingReplicaSet) expectations.Owner {
	return expectations.Owner{NamespacedName: client.ObjectKeyFromObject(owner), UID: owner.UID}
}
