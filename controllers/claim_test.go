// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"podtrail.dev/podtrail/test/wrappers"
)

func TestDoNotPatchPodWithOtherControlRef(t *testing.T) {
	owner := makeOwner("web").Replicas(2).Obj()
	other := wrappers.MakePod("ns", "pod").Label("app", "web").ControlledBy("v1beta1", "ReplicaSet", "another", "x").Obj()
	h := newHarness(t, owner, other)
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	h.checkCalls(t, "with a Pod that matches and is another's", map[string]int{"create": 2})
}

func TestPatchPodFails(t *testing.T) {
	owner := makeOwner("web").Replicas(2).Obj()
	h := newHarness(t, owner,
		wrappers.MakePod("ns", "a").Label("app", "web").Obj(), wrappers.MakePod("ns", "b").Label("app", "web").Obj())
	h.before = func(call string) error {
		if strings.HasPrefix(call, "patch") {
			return errFake
		}
		return nil
	}
	if _, err := h.reconcile(t, owner); !errors.Is(err, errFake) {
		t.Errorf("Reconcile returned %v, want %v, so that the object is queued again", err, errFake)
	}
	h.checkCalls(t, "with two orphans", map[string]int{"patch": 2})
}

func TestDoNotAdoptOrCreateIfBeingDeleted(t *testing.T) {
	owner := makeOwner("web").Replicas(2).Deleted(testNow).Obj()
	owner.Finalizers = []string{"example.com/hold"}
	h := newHarness(t, owner, wrappers.MakePod("ns", "a").Label("app", "web").Obj())
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	if diff := cmp.Diff(map[string]int{"status": 1}, h.taken()); diff != "" {
		t.Errorf("A deleted object's status is written and nothing else (-want +got):\n%s", diff)
	}
}

func TestDoNotAdoptOrCreateIfBeingDeletedRace(t *testing.T) {
	owner := makeOwner("web").Replicas(2).Deleted(testNow).Obj()
	owner.Finalizers = []string{"example.com/hold"}
	h := newHarness(t, owner, wrappers.MakePod("ns", "a").Label("app", "web").Obj())
	// The cache does not know of the deletion yet.
	h.cache(t, makeOwner("web").Replicas(2).Obj())
	if _, err := h.reconcile(t, owner); err == nil || !strings.Contains(err.Error(), "was deleted at") {
		t.Errorf("Reconcile returned %v, want that the owner was deleted", err)
	}
	h.checkCalls(t, "with a cache that lags behind", map[string]int{})
}

// TestOwnerRecreated checks that an owner which the cache still has and whose name is another's by now adopts nothing.
func TestOwnerRecreated(t *testing.T) {
	h := newHarness(t, makeOwner("web").UID("second").Obj(), wrappers.MakePod("ns", "a").Label("app", "web").Obj())
	first := makeOwner("web").UID("first").Obj()
	h.cache(t, first)
	if _, err := h.reconcile(t, first); err == nil || !strings.Contains(err.Error(), "belongs to UID second") {
		t.Errorf("Reconcile returned %v, want that the name belongs to another object", err)
	}
	h.checkCalls(t, "with a cache that lags behind", map[string]int{})
}

// TestClaimPatches checks what is sent to adopt and to release a Pod.
func TestClaimPatches(t *testing.T) {
	owner := makeOwner("web").Obj()
	h := newHarness(t, owner,
		wrappers.MakePod("ns", "a").UID("a-uid").Label("app", "web").Obj(),
		wrappers.MakePod("ns", "b").UID("b-uid").Of(owner).Label("app", "x").Obj())
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	want := []string{
		`{"metadata":{"ownerReferences":[{"apiVersion":"apps.podtrail.dev/v1alpha1","kind":"TeachingReplicaSet",` +
			`"name":"web","uid":"web-uid","controller":true,"blockOwnerDeletion":true}],"uid":"a-uid"}}`,
		`{"metadata":{"ownerReferences":[{"$patch":"delete","uid":"web-uid"}],"uid":"b-uid"}}`,
	}
	if diff := cmp.Diff(want, h.patches); diff != "" {
		t.Errorf("Patches differ (-want +got):\n%s", diff)
	}
	for _, pod := range h.catchUp(t) {
		if got := metav1.IsControlledBy(&pod, owner); got != (pod.Name == "a") {
			t.Errorf("Pod %s is controlled by the owner: %v", pod.Name, got)
		}
	}
}
