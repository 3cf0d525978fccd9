// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/test/wrappers"
)

// TestSlotFreedAfterLostAnswer checks that a pass whose cache shows that a lower slot has become free, and not yet the
// Pod that an earlier pass made in a higher one, makes no other Pod. Found by test/simulator.
func TestSlotFreedAfterLostAnswer(t *testing.T) {
	owner := makeOwner("web").Obj()
	first, second := replicas.SlotName("web", owner.UID, 0), replicas.SlotName("web", owner.UID, 1)
	terminating := wrappers.MakePod("ns", first).UID("first").Of(owner).Deleted(testNow).Finalizer("example.com/hold").Obj()
	h := newHarness(t, owner, terminating)
	h.after = func(call string) error {
		if call == "create "+second {
			return errors.New("connection reset by peer")
		}
		return nil
	}
	if _, err := h.reconcile(t, owner); err == nil {
		t.Fatal("The first pass did not report the lost answer")
	}
	h.checkCalls(t, "the answer is lost", map[string]int{"create": 1})

	if err := h.server.Patch(t.Context(), terminating, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatalf("Ending the first Pod: %v", err)
	}
	h.taken()
	if err := h.view.pods.Delete(terminating); err != nil {
		t.Fatalf("Removing the Pod from the cache: %v", err)
	}
	if err := h.server.Get(t.Context(), client.ObjectKeyFromObject(owner), owner); err != nil {
		t.Fatalf("Reading the owner: %v", err)
	}
	h.cache(t, owner)
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconciling: %v", err)
	}
	h.checkCalls(t, "the lower slot is free", map[string]int{"create": 1})
	var list corev1.PodList
	if err := h.server.List(t.Context(), &list); err != nil {
		t.Fatalf("Listing: %v", err)
	}
	var active []string
	for i := range list.Items {
		if replicas.IsActive(&list.Items[i]) {
			active = append(active, list.Items[i].Name)
		}
	}
	if diff := cmp.Diff([]string{second}, active); diff != "" {
		t.Errorf("Active Pods differ (-want +got):\n%s", diff)
	}
}

// changingIndexer changes the cache after some list of a pass, counted from 1.
type changingIndexer struct {
	toolscache.Indexer
	lists, after int
	change       func(toolscache.Indexer)
}

func (x *changingIndexer) ByIndex(index, value string) ([]any, error) {
	found, err := x.Indexer.ByIndex(index, value)
	if x.lists++; x.lists == x.after {
		x.change(x.Indexer)
	}
	return found, err
}

// TestCacheChangesDuringPass checks that what the cache learns between two reads of a pass makes no Pod too many.
func TestCacheChangesDuringPass(t *testing.T) {
	slot := func(owner *podtrailv1alpha1.TeachingReplicaSet, n int) string {
		return replicas.SlotName(owner.Name, owner.UID, n)
	}
	tests := map[string]struct {
		after  int
		cached func(owner *podtrailv1alpha1.TeachingReplicaSet) *corev1.Pod
		then   func(owner *podtrailv1alpha1.TeachingReplicaSet) *corev1.Pod
		want   map[string]int
	}{
		"the Pod of the first slot appears after the list: its name is tried": {
			after: 2,
			then: func(owner *podtrailv1alpha1.TeachingReplicaSet) *corev1.Pod {
				return wrappers.MakePod("ns", slot(owner, 0)).UID("first").Of(owner).Ready(testNow).Obj()
			},
			want: map[string]int{"create": 1},
		},
		"an orphan is adopted between the lists: it counts": {
			after: 1,
			cached: func(owner *podtrailv1alpha1.TeachingReplicaSet) *corev1.Pod {
				pod := wrappers.MakePod("ns", "orphan").UID("orphan").Of(owner).Ready(testNow).Obj()
				pod.OwnerReferences = nil
				return pod
			},
			then: func(owner *podtrailv1alpha1.TeachingReplicaSet) *corev1.Pod {
				return wrappers.MakePod("ns", "orphan").UID("orphan").Of(owner).Ready(testNow).Obj()
			},
			want: map[string]int{},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			owner := makeOwner("web").Obj()
			then := tc.then(owner)
			h := newHarness(t, []client.Object{owner, then}...)
			if err := h.view.pods.Delete(then); err != nil {
				t.Fatalf("Removing the Pod from the cache: %v", err)
			}
			if tc.cached != nil {
				h.cache(t, tc.cached(owner))
			}
			h.view.pods = &changingIndexer{Indexer: h.view.pods, after: tc.after, change: func(x toolscache.Indexer) {
				if err := x.Add(then); err != nil {
					t.Errorf("Changing the cache: %v", err)
				}
			}}
			if _, err := h.reconcile(t, owner); err != nil {
				t.Fatalf("Reconciling: %v", err)
			}
			h.checkCalls(t, "after the pass", tc.want)
			var list corev1.PodList
			if err := h.server.List(t.Context(), &list); err != nil || len(list.Items) != 1 {
				t.Errorf("There are %d Pods (error %v), want 1", len(list.Items), err)
			}
		})
	}
}

// TestPassAfterTheEnd checks that a pass whose context has ended, because the queue still handed its object out after it
// was shut down, sends nothing and makes no event about what it did not send.
func TestPassAfterTheEnd(t *testing.T) {
	owner := makeOwner("web").Replicas(3).Obj()
	h := newHarness(t, owner)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	result, err := h.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(owner)})
	if err != nil || result != (ctrl.Result{}) {
		t.Errorf("Reconcile returned %+v, %v, want nothing", result, err)
	}
	if calls := h.taken(); len(calls) > 0 || len(h.events) > 0 {
		t.Errorf("It made the calls %v and %d events, want none", calls, len(h.events))
	}
}
