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
	"podtrail.dev/podtrail/controllers/records"
	"podtrail.dev/podtrail/controllers/replicas"
)

// maxNote bounds the note of an event, in bytes: the API server refuses longer ones (ValidateEvent in Kubernetes'
// pkg/apis/core/validation/events.go), client-go does not send a refused event again, and an admission plugin's refusal
// of a Pod with several containers is that long.
const maxNote = 1024

// The actions of the events, beside their reasons.
const (
	actionCreate = "CreatePod"
	actionDelete = "DeletePod"
)

// maxParallelDeletions bounds the deletions that are under way at the same time. Upstream has no bound but Burst.
const maxParallelDeletions = 64

// errOutdated says that the plan is out of date. It is neither a failure nor an event; the next pass plans anew.
var errOutdated = errors.New("the plan is out of date")

// errNameHeld says that a Pod which does not count for the owner holds a slot's name and the cache did not know when
// the plan was made. The next pass, which waits until it does, takes another slot.
var errNameHeld = fmt.Errorf("%w: the slot's name is held by a Pod that does not count", errOutdated)

// errSuperseded says that the owner has changed since the plan was made.
var errSuperseded = fmt.Errorf("%w: the object has changed", errOutdated)

// carryOut creates or deletes what the plan says and returns the Pods that were made and the first error. Mirrors
// manageReplicas in replica_set.go, whose words the log has.
func (r *Reconciler) carryOut(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, plan replicas.Plan) ([]*corev1.Pod, error) {
	log := ctrl.LoggerFrom(ctx).V(2)
	if len(plan.Create) > 0 {
		log.Info("Too few replicas", "need", plan.Desired, "creating", len(plan.Create))
		return r.createAll(ctx, owner, plan.Create)
	}
	if len(plan.Delete) > 0 {
		log.Info("Too many replicas", "need", plan.Desired, "deleting", len(plan.Delete))
		return nil, r.deleteAll(ctx, owner, plan.Delete)
	}
	return nil, nil
}

func (r *Reconciler) createAll(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, names []string) ([]*corev1.Pod, error) {
	r.expectations.ExpectCreations(identity(owner), names)
	created := make([]*corev1.Pod, len(names))
	tried, err := slowStart(len(names), func(i int) (err error) {
		created[i], err = r.create(ctx, owner, names[i])
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

// create makes the Pod of one slot. The slot's name makes it idempotent: if an earlier try was carried out and its
// answer lost, or another replica of this manager was first, the API server answers AlreadyExists and the Pod counts
// as created. It returns no Pod and no error if the namespace is being deleted.
func (r *Reconciler) create(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, name string) (*corev1.Pod, error) {
	ctx = records.AboutPod(ctx, name)
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
		// Nothing can be created in this namespace any more, and nothing is wrong with that.
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

// newPod makes the Pod of a slot, unless the cache says by now that it is not wanted any more. A pass may take long,
// when many Pods are to be made or the API server is slow, and what it has not sent yet it need not send.
func (r *Reconciler) newPod(owner *podtrailv1alpha1.TeachingReplicaSet, name string) (*corev1.Pod, error) {
	if r.superseded(owner) {
		return nil, errSuperseded
	}
	return replicas.NewPod(owner, name)
}

// superseded reports that owner has been changed, deleted or made again since it was read. Upstream carries a plan out
// to its end.
func (r *Reconciler) superseded(owner *podtrailv1alpha1.TeachingReplicaSet) bool {
	now, exists := r.view.owner(client.ObjectKeyFromObject(owner))
	return !exists || now.UID != owner.UID || now.Generation != owner.Generation
}

// answerLost reports whether the Pod may exist although its creation returned err: the API server did not refuse it,
// or said that it failed, which a time-out after the write does too. The next pass has to try the same name, because
// the lowest free slot may be another by then.
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

// existing returns the Pod that holds the name if it counts for owner. If it does not, the cache has to see it before
// the next pass, so that its name counts as taken.
func (r *Reconciler) existing(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, name string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	if err := r.live.Get(ctx, types.NamespacedName{Namespace: owner.Namespace, Name: name}, pod); err != nil {
		return nil, fmt.Errorf("looking at the Pod that holds the name: %w", err)
	}
	if metav1.IsControlledBy(pod, owner) && replicas.IsActive(pod) {
		return pod, nil
	}
	r.expectations.Wrote(identity(owner), resourcePods, pod.ResourceVersion)
	return nil, errNameHeld
}

func (r *Reconciler) deleteAll(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, deletions []replicas.Deletion) error {
	uids := make([]types.UID, 0, len(deletions))
	for _, deletion := range deletions {
		uids = append(uids, deletion.Pod.UID)
	}
	// A deletion is expected by UID, because it is seen twice: as the deletionTimestamp and as the end of the Pod.
	r.expectations.ExpectDeletions(identity(owner), uids)
	log := ctrl.LoggerFrom(ctx).V(2)
	return inParallel(len(deletions), maxParallelDeletions, func(i int) error {
		log.Info("Deleting pod", "pod", klog.KObj(deletions[i].Pod), "rule", deletions[i].Rule)
		return r.delete(ctx, owner, deletions[i].Pod)
	})
}

// delete deletes a Pod by name and UID. Upstream's DeletePod gives the name only; here names are used again, so a Pod
// that has taken the name since must not be hit. Gone, under this name or altogether, is as good as deleted.
func (r *Reconciler) delete(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, pod *corev1.Pod) error {
	if r.superseded(owner) {
		r.expectations.DeletionObserved(identity(owner), pod.UID)
		return errSuperseded
	}
	ctx = records.AboutPod(ctx, pod.Name)
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

// warn makes an event about a write that failed. The error is cut so that the API server accepts the event.
func (r *Reconciler) warn(owner *podtrailv1alpha1.TeachingReplicaSet, reason, action, what string, err error) {
	r.events.Eventf(owner, nil, corev1.EventTypeWarning, reason, action,
		what+"%s", replicas.Truncate(err.Error(), maxNote-len(what)))
}

// slowStart calls fn with 0 to count-1, in batches of 1, 2, 4 and so on, the calls of a batch at the same time. After
// a batch with a failure it stops: what is refused for one Pod, by a quota for instance, is mostly refused for all,
// and neither the API server nor the reader of the events should see it hundreds of times. It returns how many calls
// were made and the first error. Mirrors slowStartBatch in replica_set.go.
func slowStart(count int, fn func(i int) error) (tried int, err error) {
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

// batches says how slowStart divides count calls.
func batches(count int) []int {
	var sizes []int
	for batch, left := 1, count; left > 0; batch *= 2 {
		sizes = append(sizes, min(batch, left))
		left -= min(batch, left)
	}
	return sizes
}

// inParallel calls fn with 0 to count-1, at most limit at the same time, waits for all and returns the first error. A
// failure stops none of the others.
func inParallel(count, limit int, fn func(i int) error) error {
	var calls errgroup.Group
	calls.SetLimit(limit)
	for i := range count {
		calls.Go(func() error { return fn(i) })
	}
	return calls.Wait()
}
