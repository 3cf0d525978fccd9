// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/controllers/tracing"
)

// statusDelay is how long the controller collects Pods that become ready, or unready, before it writes one status for
// all. Upstream makes a pass for each, so up to one write for each Pod while many start.
const statusDelay = 200 * time.Millisecond

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// watcher turns the informers' events into observed expectations and queued passes. Mirrors addRS to deletePod in
// replica_set.go. controller-runtime unwraps tombstones, so a deletion that the watch missed arrives with the last
// known state of the object.
type watcher struct {
	view         *view
	expectations *expectations.Store
	tracer       *tracing.Tracer
}

func (w *watcher) ownerHandler() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { w.enqueueOwner(q, e.Object, eventAdded, 0) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
				// The informer missed that the object was deleted and recreated.
				w.ownerDeleted(e.ObjectOld)
			}
			w.enqueueOwner(q, e.ObjectNew, eventUpdated, w.ownerDelay(e.ObjectOld, e.ObjectNew))
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			w.ownerDeleted(e.Object)
			w.enqueueOwner(q, e.Object, eventDeleted, 0)
		},
	}
}

func (w *watcher) ownerDeleted(owner client.Object) {
	w.expectations.Forget(client.ObjectKeyFromObject(owner), owner.GetUID())
}

func (w *watcher) podHandler() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { w.podAdded(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { w.podUpdated(e.ObjectOld, e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { w.podDeleted(e.Object, q) },
	}
}

func (w *watcher) podAdded(pod client.Object, q queue) {
	if pod.GetDeletionTimestamp() != nil {
		// After a restart, or a break in the watch, a Pod may already be terminating when it is first seen.
		w.podDeleted(pod, q)
		return
	}
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		w.enqueueSelecting(pod, eventAdded, q)
		return
	}
	if owner := w.resolve(pod.GetNamespace(), ref); owner != nil {
		w.expectations.CreationObserved(identity(owner), pod.GetName())
		w.enqueue(q, owner, eventAdded, pod)
	}
}

func (w *watcher) podUpdated(old, updated client.Object, q queue) {
	if old.GetUID() != updated.GetUID() {
		// Names are reused, so an informer that missed the end of one Pod may show the next one as an update of it.
		w.podDeleted(old, q)
		w.podAdded(updated, q)
		return
	}
	if old.GetResourceVersion() == updated.GetResourceVersion() {
		return
	}
	labelsChanged := !equality.Semantic.DeepEqual(old.GetLabels(), updated.GetLabels())
	if updated.GetDeletionTimestamp() != nil {
		// The owner replaces the Pod now; it does not wait until the kubelet has stopped it.
		w.podDeleted(updated, q)
		if labelsChanged || !sameController(old, updated) {
			// Upstream checks only the labels; an owner that lost the Pod would report it as terminating forever.
			w.podDeleted(old, q)
		}
		return
	}
	w.podChanged(old, updated, labelsChanged, q)
}

func sameController(a, b client.Object) bool {
	return equality.Semantic.DeepEqual(metav1.GetControllerOfNoCopy(a), metav1.GetControllerOfNoCopy(b))
}

// podChanged queues the owner that lost the Pod and the owner that has it now, or, for an orphan, those that might
// adopt it.
func (w *watcher) podChanged(old, updated client.Object, labelsChanged bool, q queue) {
	oldRef, ref := metav1.GetControllerOfNoCopy(old), metav1.GetControllerOfNoCopy(updated)
	refChanged := !sameController(old, updated)
	if refChanged && oldRef != nil {
		if owner := w.resolve(old.GetNamespace(), oldRef); owner != nil {
			w.enqueue(q, owner, eventUpdated, updated)
		}
	}
	claimChanged := labelsChanged || refChanged
	switch {
	case ref == nil && claimChanged:
		w.enqueueSelecting(updated, eventUpdated, q)
	case ref != nil:
		if owner := w.resolve(updated.GetNamespace(), ref); owner != nil {
			w.enqueueAfter(q, owner, eventUpdated, updated, delay(old, updated, claimChanged))
		}
	}
}

func (w *watcher) podDeleted(pod client.Object, q queue) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return
	}
	if owner := w.resolve(pod.GetNamespace(), ref); owner != nil {
		w.expectations.DeletionObserved(identity(owner), pod.GetUID())
		w.enqueue(q, owner, eventDeleted, pod)
	}
}

// resolve returns the TeachingReplicaSet that a controller reference names, or nil if there is none. Its UID must be
// the reference's, because another object may have that name by now. Mirrors resolveControllerRef in replica_set.go.
func (w *watcher) resolve(namespace string, ref *metav1.OwnerReference) *podtrailv1alpha1.TeachingReplicaSet {
	if !isOwnKind(ref) {
		return nil
	}
	owner, exists := w.view.owner(client.ObjectKey{Namespace: namespace, Name: ref.Name})
	if !exists || owner.UID != ref.UID {
		return nil
	}
	return owner
}

func (w *watcher) enqueueSelecting(pod client.Object, event string, q queue) {
	for _, owner := range w.view.selecting(pod) {
		w.enqueue(q, owner, event, pod)
	}
}

// delay returns how long the pass that an update of a Pod causes may wait. It may wait only if the update can change no
// more than counts in the status; a change in whether the Pod is active, or in whose it is, is acted on at once.
func delay(old, updated client.Object, claimChanged bool) time.Duration {
	before, ok := old.(*corev1.Pod)
	if !ok || claimChanged {
		return 0
	}
	if after, ok := updated.(*corev1.Pod); !ok || replicas.IsActive(before) != replicas.IsActive(after) {
		return 0
	}
	return statusDelay
}

// enqueue queues a pass over owner because of an event about a Pod.
func (w *watcher) enqueue(q queue, owner client.Object, event string, pod client.Object) {
	w.enqueueAfter(q, owner, event, pod, 0)
}

// enqueueAfter queues a pass after a delay. The queue keeps the earliest of several, so later events do not extend a
// delay.
func (w *watcher) enqueueAfter(q queue, owner client.Object, event string, pod client.Object, delay time.Duration) {
	w.noteTrigger(owner, event, "Pod", pod)
	q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(owner)}, delay)
}

// ownerDelay returns how long the pass that an update of an owner causes may wait. An update that changes only how many
// Pods are ready is usually the echo of a status that this controller wrote. While Pods become ready, a pass at once
// would write the next status before statusDelay is over. A pass that was put off until this echo arrives does not wait
// longer.
func (w *watcher) ownerDelay(old, updated client.Object) time.Duration {
	before, ok := old.(*podtrailv1alpha1.TeachingReplicaSet)
	if !ok || w.expectations.PutOff(client.ObjectKeyFromObject(updated)) {
		return 0
	}
	after, ok := updated.(*podtrailv1alpha1.TeachingReplicaSet)
	if !ok || before.UID != after.UID || before.Generation != after.Generation ||
		!before.DeletionTimestamp.Equal(after.DeletionTimestamp) {
		return 0
	}
	counts := before.Status
	counts.ReadyReplicas, counts.AvailableReplicas = after.Status.ReadyReplicas, after.Status.AvailableReplicas
	if replicas.StatusChanged(&counts, &after.Status) {
		return 0
	}
	return statusDelay
}

// enqueueOwner queues a pass over owner, after a delay, because of an event about itself.
func (w *watcher) enqueueOwner(q queue, owner client.Object, event string, delay time.Duration) {
	w.noteTrigger(owner, event, podtrailv1alpha1.Kind, owner)
	q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(owner)}, delay)
}

// alarm queues passes for a certain time. The result of a pass cannot do so if the pass failed: controller-runtime then
// ignores RequeueAfter and retries with a growing back-off.
type alarm struct{ queue queue }

// start keeps the controller's queue. controller-runtime calls it before the first pass.
func (a *alarm) start(_ context.Context, q queue) error {
	a.queue = q
	return nil
}

func (a *alarm) set(name types.NamespacedName, wait time.Duration) {
	a.queue.AddAfter(reconcile.Request{NamespacedName: name}, wait)
}
