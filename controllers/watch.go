// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// watcher turns what the informers see into observed expectations and passes to make. It mirrors addRS to deletePod
// in replica_set.go. controller-runtime unwraps tombstones, so a deletion that the watch missed arrives with the last
// known state of the object.
type watcher struct {
	view         *view
	expectations *expectations.Store
}

func (w *watcher) ownerHandler() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { enqueue(q, e.Object) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
				// The informer missed that the object was deleted and made again under its name.
				w.ownerDeleted(e.ObjectOld)
			}
			enqueue(q, e.ObjectNew)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			w.ownerDeleted(e.Object)
			enqueue(q, e.Object)
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
		w.enqueueSelecting(pod, q)
		return
	}
	if owner := w.resolve(pod.GetNamespace(), ref); owner != nil {
		w.expectations.CreationObserved(identity(owner), pod.GetName())
		enqueue(q, owner)
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
		if labelsChanged {
			w.podDeleted(old, q)
		}
		return
	}
	oldRef, ref := metav1.GetControllerOfNoCopy(old), metav1.GetControllerOfNoCopy(updated)
	refChanged := !equality.Semantic.DeepEqual(oldRef, ref)
	if refChanged && oldRef != nil {
		if owner := w.resolve(old.GetNamespace(), oldRef); owner != nil {
			enqueue(q, owner)
		}
	}
	if ref != nil {
		if owner := w.resolve(updated.GetNamespace(), ref); owner != nil {
			enqueue(q, owner)
		}
		return
	}
	if labelsChanged || refChanged {
		w.enqueueSelecting(updated, q)
	}
}

func (w *watcher) podDeleted(pod client.Object, q queue) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return
	}
	if owner := w.resolve(pod.GetNamespace(), ref); owner != nil {
		w.expectations.DeletionObserved(identity(owner), pod.GetUID())
		enqueue(q, owner)
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

func (w *watcher) enqueueSelecting(pod client.Object, q queue) {
	for _, owner := range w.view.selecting(pod) {
		enqueue(q, owner)
	}
}

func enqueue(q queue, obj client.Object) {
	q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
}
