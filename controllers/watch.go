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
	"podtrail.dev/podtrail/controllers/records"
	"podtrail.dev/podtrail/controllers/replicas"
)

// statusDelay is for how long Pods that become ready, or unready, are gathered into one status write. Upstream makes a
// pass for each, and so up to one write for each Pod while many start.
const statusDelay = 200 * time.Millisecond

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// watcher turns what the informers see into observed expectations and passes to make. It mirrors addRS to deletePod
// in replica_set.go. controller-runtime unwraps tombstones, so a deletion that the watch missed arrives with the last
// known state of the object.
type watcher struct {
	view         *view
	expectations *expectations.Store
	records      *records.Recorder
}

func (w *watcher) ownerHandler() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { w.enqueueOwner(q, e.Object, eventAdded, 0) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
				// The informer missed that the object was deleted and made again under its name.
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
		// After a restart, or a break of the watch, a Pod may first be seen when it is already being deleted.
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
		// Names are used again, so an informer that missed the end of one Pod may show the next as its update.
		w.podDeleted(old, q)
		w.podAdded(updated, q)
		return
	}
	if old.GetResourceVersion() == updated.GetResourceVersion() {
		return
	}
	labelsChanged := !equality.Semantic.DeepEqual(old.GetLabels(), updated.GetLabels())
	if updated.GetDeletionTimestamp() != nil {
		// The owner replaces the Pod now and does not wait until the kubelet has ended it.
		w.podDeleted(updated, q)
		if labelsChanged || !sameController(old, updated) {
			// Upstream looks at the labels only; an owner that has lost the Pod would report it as terminating for ever.
			w.podDeleted(old, q)
		}
		return
	}
	w.podChanged(old, updated, labelsChanged, q)
}

func sameController(a, b client.Object) bool {
	return equality.Semantic.DeepEqual(metav1.GetControllerOfNoCopy(a), metav1.GetControllerOfNoCopy(b))
}

// podChanged wakes the owner that has lost the Pod, and the one that has it; for an orphan those that might adopt it.
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

// resolve returns the TeachingReplicaSet that a controller reference means, or nil: it is looked up by name, and its
// UID must be the reference's, because the object of that name may be another one by now.
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

// delay is how long a pass may wait that an update of a Pod asks for. Only a change that can do no more than alter the
// counts in the status waits; whether the Pod counts at all, and for whom, is acted on at once.
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

// enqueue asks for a pass over owner because of an event about a Pod.
func (w *watcher) enqueue(q queue, owner client.Object, event string, pod client.Object) {
	w.enqueueAfter(q, owner, event, pod, 0)
}

// enqueueAfter asks for one after a delay. Of several the queue keeps the earliest, so later events extend no delay.
func (w *watcher) enqueueAfter(q queue, owner client.Object, event string, pod client.Object, delay time.Duration) {
	w.noteTrigger(owner, event, "Pod", pod)
	q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(owner)}, delay)
}

// ownerDelay is how long a pass may wait that an update of an owner asks for. An update that changes nothing but how many
// Pods are ready is mostly the echo of a status that this controller wrote; a pass at once would write the next one, while
// Pods become ready, before they are gathered. A pass that was put off until this echo is there does not wait longer.
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

// enqueueOwner asks for a pass over owner, after a delay, because of an event about itself.
func (w *watcher) enqueueOwner(q queue, owner client.Object, event string, delay time.Duration) {
	w.noteTrigger(owner, event, podtrailv1alpha1.Kind, owner)
	q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(owner)}, delay)
}

// alarm asks for passes at a time, not because of an event. A controller's result cannot, if the pass has failed: it is
// then tried again after a time that grows.
type alarm struct{ queue queue }

// start keeps the controller's queue. controller-runtime calls it before the first pass.
func (a *alarm) start(_ context.Context, q queue) error {
	a.queue = q
	return nil
}

func (a *alarm) set(name types.NamespacedName, wait time.Duration) {
	a.queue.AddAfter(reconcile.Request{NamespacedName: name}, wait)
}
