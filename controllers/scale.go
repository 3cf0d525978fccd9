// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/controllers/tracing"
)

// maxNote bounds the note of an event, in bytes. The API server refuses longer notes (NoteLengthLimit in Kubernetes'
// pkg/apis/core/validation/events.go), and client-go does not resend a refused event. Pod Security's refusal of a Pod
// with several containers is longer.
const maxNote = 1024

// The actions of the events; their reasons are in the API.
const (
	actionCreate = "CreatePod"
	actionDelete = "DeletePod"
)

// maxParallelDeletions bounds the deletions that run at the same time. Upstream's only bound is Burst.
const maxParallelDeletions = 64

// errOutdated reports that the plan is out of date. It is no failure and makes no event; the next pass plans again.
var errOutdated = errors.New("the plan is out of date")

// errNameHeld reports that a Pod that is not one of the owner's active Pods holds a slot's name, and that the cache did
// not show it when the plan was made. The next pass waits until the cache does, and takes another slot.
var errNameHeld = fmt.Errorf("%w: a Pod that does not count holds the slot's name", errOutdated)

// errSuperseded reports that the owner has changed since the plan was made.
var errSuperseded = fmt.Errorf("%w: the object has changed", errOutdated)

// manageReplicas carries the plan out. It returns the Pods that it created, and the first error. Mirrors manageReplicas
// in replica_set.go, down to the log messages.
func (r *Reconciler) manageReplicas(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, plan replicas.Plan) ([]*corev1.Pod, error) {
	log := ctrl.LoggerFrom(ctx).V(2)
	if len(plan.Create) > 0 {
		log.Info("Too few replicas", "need", plan.Desired, "creating", len(plan.Create))
		return r.createPods(ctx, owner, plan.Create)
	}
	if len(plan.Delete) > 0 {
		log.Info("Too many replicas", "need", plan.Desired, "deleting", len(plan.Delete))
		return nil, r.deletePods(ctx, owner, plan.Delete)
	}
	return nil, nil
}

// createPods creates a Pod for each name, in slow-start batches.
func (r *Reconciler) createPods(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, names []string) ([]*corev1.Pod, error) {
	r.expectations.ExpectCreations(identity(owner), names)
	created := make([]*corev1.Pod, len(names))
	tried, err := slowStartBatch(len(names), func(i int) (err error) {
		created[i], err = r.createPod(ctx, owner, names[i])
		return err
	})
	if skipped := len(names) - tried; skipped > 0 {
		ctrl.LoggerFrom(ctx).V(2).Info("Slow-start failure. Skipping creation of pods", "podsSkipped", skipped)
	}
	for _, name := range names[tried:] {
		r.expectations.CreationFailed(identity(owner), name, false)
	}
	return slices.DeleteFunc(created, func(pod *corev1.Pod) bool { return pod == nil }), err
}

// createPod creates the Pod of one slot. The slot's name makes this idempotent: if an earlier attempt succeeded and its
// answer was lost, or another replica of this manager was faster, the API server answers AlreadyExists and the Pod
// counts as created. createPod returns no Pod and no error if the namespace is being deleted.
func (r *Reconciler) createPod(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, name string) (*corev1.Pod, error) {
	ctx = tracing.AboutPod(ctx, name)
	pod, err := r.newPod(owner, name)
	sent := err == nil
	if sent {
		err = r.client.Create(ctx, pod, fieldOwner)
	}
	result := writeDone
	if apierrors.IsAlreadyExists(err) {
		result = writeRepeated
		pod, err = r.existing(ctx, owner, name)
	}
	switch {
	case err == nil:
		podWrites.WithLabelValues(writeCreate, result).Inc()
		r.expectations.Created(identity(owner), name, resourcePods, pod.ResourceVersion)
		r.events.Eventf(owner, nil, corev1.EventTypeNormal, podtrailv1alpha1.SuccessfulCreateReason, actionCreate,
			"Created pod: %s", name)
		return pod, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		// Nothing can be created in this namespace any more. That is expected and no failure.
		r.expectations.CreationFailed(identity(owner), name, false)
		return nil, nil
	}
	r.expectations.CreationFailed(identity(owner), name, sent && answerLost(err))
	if !errors.Is(err, errOutdated) {
		podWrites.WithLabelValues(writeCreate, writeFailed).Inc()
		r.warn(owner, podtrailv1alpha1.FailedCreateReason, actionCreate, "Error creating: ", err)
	}
	return nil, fmt.Errorf("creating Pod %s: %w", name, err)
}

// newPod returns the Pod of a slot to create, or errSuperseded if the cache shows by now that the plan no longer holds.
// A pass can take long, if it creates many Pods or the API server is slow, and it can still drop what it has not sent.
func (r *Reconciler) newPod(owner *podtrailv1alpha1.TeachingReplicaSet, name string) (*corev1.Pod, error) {
	if r.superseded(owner) {
		return nil, errSuperseded
	}
	return replicas.NewPod(owner, name)
}

// superseded reports whether owner has been changed, deleted or recreated since it was read. Upstream always carries
// the whole plan out.
func (r *Reconciler) superseded(owner *podtrailv1alpha1.TeachingReplicaSet) bool {
	now, exists := r.view.owner(client.ObjectKeyFromObject(owner))
	return !exists || now.UID != owner.UID || now.Generation != owner.Generation
}

// answerLost reports whether the Pod may exist although its creation returned err: the API server did not refuse it, or
// it answered that it failed, as it also does if it times out after the write. The next pass must then try the same
// name, because by then another slot may be the lowest free one.
func answerLost(err error) bool {
	if errors.Is(err, errNameHeld) {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	code := status.Status().Code
	return code >= http.StatusInternalServerError || code == http.StatusRequestTimeout
}

// existing returns the Pod that holds the name if it is one of owner's active Pods. If it is not, existing returns
// errNameHeld, and the next pass waits until the cache shows that Pod, so that its name counts as taken.
func (r *Reconciler) existing(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, name string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	if err := r.live.Get(ctx, types.NamespacedName{Namespace: owner.Namespace, Name: name}, pod); err != nil {
		return nil, fmt.Errorf("reading the Pod that holds the name: %w", err)
	}
	if metav1.IsControlledBy(pod, owner) && replicas.IsActive(pod) {
		return pod, nil
	}
	r.expectations.Wrote(identity(owner), resourcePods, pod.ResourceVersion)
	return nil, errNameHeld
}

// deletePods deletes Pods, several at a time.
func (r *Reconciler) deletePods(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, deletions []replicas.Deletion) error {
	uids := make([]types.UID, 0, len(deletions))
	for _, deletion := range deletions {
		uids = append(uids, deletion.Pod.UID)
	}
	// Deletions are expected by UID, because the watch shows each twice: as a deletionTimestamp and as the end of the Pod.
	r.expectations.ExpectDeletions(identity(owner), uids)
	log := ctrl.LoggerFrom(ctx).V(2)
	return inParallel(len(deletions), maxParallelDeletions, func(i int) error {
		log.Info("Deleting pod", "pod", klog.KObj(deletions[i].Pod), "rule", string(deletions[i].Rule))
		return r.deletePod(ctx, owner, deletions[i].Pod)
	})
}

// deletePod deletes a Pod by name and UID. Upstream's DeletePod passes only the name; here names are reused, so another
// Pod that has the name by now must not be deleted. A Pod that is gone, or whose name another Pod has, counts as
// deleted.
func (r *Reconciler) deletePod(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, pod *corev1.Pod) error {
	if r.superseded(owner) {
		r.expectations.DeletionObserved(identity(owner), pod.UID)
		return errSuperseded
	}
	ctx = tracing.AboutPod(ctx, pod.Name)
	target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	err := r.client.Delete(ctx, target, client.Preconditions{UID: &pod.UID})
	if err == nil {
		podWrites.WithLabelValues(writeDelete, writeDone).Inc()
		r.events.Eventf(owner, nil, corev1.EventTypeNormal, podtrailv1alpha1.SuccessfulDeleteReason, actionDelete,
			"Deleted pod: %s", pod.Name)
		return nil
	}
	r.expectations.DeletionObserved(identity(owner), pod.UID)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		podWrites.WithLabelValues(writeDelete, writeRepeated).Inc()
		return nil
	}
	podWrites.WithLabelValues(writeDelete, writeFailed).Inc()
	r.warn(owner, podtrailv1alpha1.FailedDeleteReason, actionDelete, "Error deleting: ", err)
	return fmt.Errorf("deleting Pod %s: %w", pod.Name, err)
}

// warn records an event about a failed write. It cuts the error so that the API server accepts the event.
func (r *Reconciler) warn(owner *podtrailv1alpha1.TeachingReplicaSet, reason, action, what string, err error) {
	r.events.Eventf(owner, nil, corev1.EventTypeWarning, reason, action,
		what+"%s", replicas.Truncate(err.Error(), maxNote-len(what)))
}

// slowStartBatch calls fn with 0 to count-1, in batches of 1, 2, 4 and so on. The calls of one batch run at the same
// time. It stops after a batch with a failure: what refuses one Pod, a quota for example, usually refuses all, and
// neither the API server nor the events should see hundreds of them. It returns the number of calls made and the first
// error. Mirrors slowStartBatch in replica_set.go.
func slowStartBatch(count int, fn func(i int) error) (tried int, err error) {
	for _, batch := range batches(count) {
		first := tried
		err = inParallel(batch, batch, func(i int) error { return fn(first + i) })
		tried += batch
		if err != nil {
			return tried, err
		}
	}
	return tried, nil
}

// batches returns the sizes of the batches into which slowStartBatch divides count calls.
func batches(count int) []int {
	var sizes []int
	for batch, left := 1, count; left > 0; batch *= 2 {
		sizes = append(sizes, min(batch, left))
		left -= min(batch, left)
	}
	return sizes
}

// inParallel calls fn with 0 to count-1, at most limit at the same time, waits for all calls and returns the first
// error. A failure does not stop the other calls.
func inParallel(count, limit int, fn func(i int) error) error {
	var calls errgroup.Group
	calls.SetLimit(limit)
	for i := range count {
		calls.Go(func() error { return fn(i) })
	}
	return calls.Wait()
}
