// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/test/wrappers"
)

// The tests named as upstream's in pkg/controller/replicaset/replica_set_test.go carry their cases; see
// test/upstream-tests.md. The others follow them.

var errFake = errors.New("fake error")

func TestSyncReplicaSetDoesNothing(t *testing.T) {
	owner := makeOwner("web").Replicas(2).Obj()
	h := newHarness(t, append(runningPods(owner, "a", "b"), owner)...)
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	h.checkCalls(t, "with as many Pods as wanted", map[string]int{})
}

func TestSyncReplicaSetCreateFailures(t *testing.T) {
	const limit = 10
	owner := makeOwner("web").Replicas(10 * limit).Obj()
	h := newHarness(t, owner)
	creations := 0
	h.before = func(call string) error {
		if strings.HasPrefix(call, "create") {
			if creations++; creations > limit {
				return errFake
			}
		}
		return nil
	}
	if _, err := h.reconcile(t, owner); !errors.Is(err, errFake) {
		t.Fatalf("Reconcile returned %v, want %v", err, errFake)
	}
	h.checkCalls(t, "with a limit of 10", map[string]int{"create": 1 + 2 + 4 + 8})
	if creations, _ := h.expectations.Waiting(identity(owner)); len(creations) != limit {
		t.Errorf("%d creations are expected, want the %d that succeeded", len(creations), limit)
	}
}

func TestSyncReplicaSetDormancy(t *testing.T) {
	owner := makeOwner("web").Replicas(2).Obj()
	h := newHarness(t, append(runningPods(owner, "a"), owner)...)

	h.expectations.ExpectCreations(identity(owner), []string{"b"})
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	if diff := cmp.Diff(map[string]int{"status": 1}, h.taken()); diff != "" {
		t.Fatalf("While a creation is expected, only the status is written (-want +got):\n%s", diff)
	}

	h.catchUp(t)
	h.expectations.CreationObserved(identity(owner), "b")
	h.before = func(call string) error {
		if strings.HasPrefix(call, "create") {
			return errFake
		}
		return nil
	}
	if _, err := h.reconcile(t, owner); !errors.Is(err, errFake) {
		t.Fatalf("Reconcile returned %v, want %v", err, errFake)
	}
	h.checkCalls(t, "once it was seen", map[string]int{"create": 1})

	h.catchUp(t)
	h.before = func(string) error { return nil }
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	h.checkCalls(t, "after a creation that failed and is not expected any more", map[string]int{"create": 1})
}

func TestControllerUpdateRequeue(t *testing.T) {
	owner := makeOwner("web").Obj()
	h := newHarness(t, append(runningPods(owner, "a"), owner)...)
	h.before = func(string) error { return errFake }
	if _, err := h.reconcile(t, owner); !errors.Is(err, errFake) {
		t.Errorf("Reconcile returned %v, want %v, so that the object is queued again", err, errFake)
	}
}

func TestControllerUpdateStatusWithFailure(t *testing.T) {
	owner := makeOwner("web").Generation(1).Obj()
	h := newHarness(t, owner)
	gets := 0
	h.live = interceptor.NewClient(h.server, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			gets++
			return c.Get(ctx, key, obj, opts...)
		},
	})
	h.before = func(string) error { return errFake }
	status := podtrailv1alpha1.TeachingReplicaSetStatus{Replicas: 10}
	if err := h.writeStatus(t.Context(), owner, status); !errors.Is(err, errFake) {
		t.Errorf("writeStatus returned %v, want %v", err, errFake)
	}
	if updates := h.taken()["status"]; gets != 1 || updates != 2 {
		t.Errorf("%d reads and %d writes, want 1 and 2", gets, updates)
	}
	h.before = func(string) error { return nil }
	if err := h.writeStatus(t.Context(), owner, status); err != nil {
		t.Fatalf("writeStatus: %v", err)
	}
	var written podtrailv1alpha1.TeachingReplicaSet
	if err := h.server.Get(t.Context(), client.ObjectKeyFromObject(owner), &written); err != nil || written.Status.Replicas != 10 {
		t.Errorf("The status has %d replicas and reading it gave %v, want 10", written.Status.Replicas, err)
	}
}

func TestControllerBurstReplicas(t *testing.T) {
	const wanted = 2*replicas.Burst + 200
	owner := makeOwner("web").Replicas(wanted).Obj()
	h := newHarness(t, owner)
	for _, want := range []int{replicas.Burst, replicas.Burst, 200} {
		if _, err := h.reconcile(t, owner); err != nil {
			t.Fatalf("Reconcile: %v", err)
		}
		h.checkCalls(t, "after the earlier ones were seen", map[string]int{"create": want})
		if result, err := h.reconcile(t, owner); err != nil || result.RequeueAfter != staleRecheck {
			t.Fatalf("Reconcile returned %v, %v, want another try in %s", result, err, staleRecheck)
		}
		h.checkCalls(t, "before any was seen", map[string]int{})
		h.catchUp(t)
	}
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	h.checkCalls(t, "when there are as many as wanted", map[string]int{})
}

// TestRSSyncExpectations checks that a Pod cannot slip in between listing and asking for the expectations: the
// deletion that is expected is seen just after the Pods were listed, and no second Pod may be deleted.
func TestRSSyncExpectations(t *testing.T) {
	owner := makeOwner("web").Replicas(1).Obj()
	h := newHarness(t, append(runningPods(owner, "a", "b"), owner)...)
	h.expectations.ExpectDeletions(identity(owner), []types.UID{"a-uid"})
	h.view.pods = &racingIndexer{Indexer: h.view.pods, onList: func() {
		h.expectations.DeletionObserved(identity(owner), "a-uid")
	}}
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	h.checkCalls(t, "with a deletion seen while listing", map[string]int{})
}

func TestDeleteControllerAndExpectations(t *testing.T) {
	owner := makeOwner("web").Obj()
	h := newHarness(t, owner)
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	h.checkCalls(t, "at first", map[string]int{"create": 1})
	if err := h.view.owners.Delete(owner); err != nil {
		t.Fatalf("Emptying the cache: %v", err)
	}
	h.watch.ownerDeleted(owner)
	// A write whose answer came only after the deletion was seen.
	h.expectations.Wrote(identity(owner), resourcePods, "1")
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	if got := h.expectations.Len(); got != 0 {
		t.Errorf("%d owners are remembered after the only one was deleted", got)
	}
	h.checkCalls(t, "after it was deleted", map[string]int{})
}

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
	if _, err := h.reconcile(t, owner); err == nil || !strings.Contains(err.Error(), "has been deleted") {
		t.Errorf("Reconcile returned %v, want that the owner has been deleted", err)
	}
	h.checkCalls(t, "with a cache that lags behind", map[string]int{})
}

// TestOwnerMadeAgain checks that an owner which the cache still has and whose name is another's by now adopts nothing.
func TestOwnerMadeAgain(t *testing.T) {
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

func TestReplicaSetAvailabilityCheck(t *testing.T) {
	owner := makeOwner("web").Replicas(4).MinReadySeconds(5).Obj()
	ready := func(name string, ago time.Duration) client.Object {
		return wrappers.MakePod("ns", name).Of(owner).Ready(testNow.Add(-ago)).Obj()
	}
	h := newHarness(t, owner, wrappers.MakePod("ns", "a").Of(owner).Phase(corev1.PodPending).Obj(),
		ready("b", 0), ready("c", 2*time.Second), ready("d", 4300*time.Millisecond))
	result, err := h.reconcile(t, owner)
	if err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	if want := 700 * time.Millisecond; result.RequeueAfter != want {
		t.Errorf("The next pass is in %s, want %s", result.RequeueAfter, want)
	}
	h.catchUp(t)
	if got, _ := h.view.owner(client.ObjectKeyFromObject(owner)); got.Status.ReadyReplicas != 3 || got.Status.AvailableReplicas != 0 {
		t.Errorf("Status is %+v, want 3 ready and 0 available", got.Status)
	}
}

// TestLostAnswer checks that a creation which was carried out and whose answer was lost makes no second Pod.
func TestLostAnswer(t *testing.T) {
	owner := makeOwner("web").Replicas(3).Obj()
	h := newHarness(t, owner)
	h.after = func(call string) error {
		if strings.HasPrefix(call, "create") {
			return apierrors.NewTimeoutError("the answer was lost", 1)
		}
		return nil
	}
	for range 3 {
		// Each pass is refused after its first creation; the cache sees none of the Pods.
		if _, err := h.reconcile(t, owner); !apierrors.IsTimeout(err) && err != nil {
			t.Fatalf("Reconcile returned %v, want nothing or a time-out", err)
		}
	}
	h.after = func(string) error { return nil }
	h.catchUp(t)
	for range 2 {
		if _, err := h.reconcile(t, owner); err != nil {
			t.Fatalf("Reconcile: %v", err)
		}
		h.catchUp(t)
	}
	if pods := h.catchUp(t); len(pods) != 3 {
		t.Errorf("There are %d Pods, want 3", len(pods))
	}
	if deletions := h.taken()["delete"]; deletions != 0 {
		t.Errorf("%d Pods were deleted, want none", deletions)
	}
}

// TestNameHeld checks what is done about a Pod that holds a slot's name and is not in the cache.
func TestNameHeld(t *testing.T) {
	owner := makeOwner("web").Obj()
	name := replicas.SlotName("web", owner.UID, 0)
	foreign := wrappers.MakePod("ns", name).ResourceVersion("7").Obj()
	h := newHarness(t, owner, wrappers.MakePod("ns", "unrelated").ResourceVersion("1").Obj())
	if err := h.server.Create(t.Context(), wrappers.MakePod("ns", name).Obj()); err != nil {
		t.Fatalf("Making the foreign Pod: %v", err)
	}
	// The fake counts versions for each object; a real one's are the cluster's, so the foreign Pod's is newer.
	if err := h.server.Update(t.Context(), wrappers.MakePod("ns", name).Label("x", "y").Obj()); err != nil {
		t.Fatalf("Changing the foreign Pod: %v", err)
	}
	h.cache(t, wrappers.MakePod("ns", "unrelated").ResourceVersion("1").Obj())
	h.taken()
	result, err := h.reconcile(t, owner)
	if err != nil || result.RequeueAfter != staleRecheck {
		t.Fatalf("Reconcile returned %v, %v, want another pass in %s", result, err, staleRecheck)
	}
	h.checkCalls(t, "with the name held", map[string]int{"create": 1})
	select {
	case event := <-h.events:
		t.Errorf("There is an event: %s", event)
	default:
	}
	h.catchUpOwners(t)
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	h.checkCalls(t, "before the cache has seen the Pod that holds it", map[string]int{})
	h.cache(t, foreign)
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	if diff := cmp.Diff([]string{"create " + replicas.SlotName("web", owner.UID, 1)}, h.calls[:1]); diff != "" {
		t.Errorf("The next slot is taken (-want +got):\n%s", diff)
	}
}

// TestSuperseded checks that a pass under way stops when the object is changed.
func TestSuperseded(t *testing.T) {
	tests := map[string]struct {
		replicas int32
		change   func(*podtrailv1alpha1.TeachingReplicaSet)
		want     map[string]int
	}{
		"created until it is scaled down": {
			replicas: 100,
			change:   func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Generation++ },
			want:     map[string]int{"create": 1},
		},
		"created until it is made again": {
			replicas: 100,
			change:   func(o *podtrailv1alpha1.TeachingReplicaSet) { o.UID = "another" },
			want:     map[string]int{"create": 1},
		},
		"created on if only the status changes": {
			replicas: 10,
			change:   func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Status.Replicas++ },
			want:     map[string]int{"create": 10},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			owner := makeOwner("web").Replicas(tc.replicas).Obj()
			h := newHarness(t, owner)
			changed := owner.DeepCopy()
			tc.change(changed)
			h.after = func(string) error {
				h.cache(t, changed)
				return nil
			}
			if _, err := h.reconcile(t, owner); err != nil {
				t.Errorf("Reconcile: %v", err)
			}
			h.checkCalls(t, "with a change after the first write", tc.want)
			if creations, _ := h.expectations.Waiting(identity(owner)); len(creations) != tc.want["create"] {
				t.Errorf("%d creations are expected, want the %d that were sent", len(creations), tc.want["create"])
			}
		})
	}
}

// TestFailuresThatAreNone has the answers of the API server that are neither errors nor events.
func TestFailuresThatAreNone(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	terminating := apierrors.NewForbidden(pods, "x", errFake)
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	tests := map[string]struct {
		replicas int32
		answer   error
		want     map[string]int
	}{
		"the namespace terminates":          {replicas: 3, answer: terminating, want: map[string]int{"create": 1}},
		"the Pod to delete is gone":         {replicas: 1, answer: apierrors.NewNotFound(pods, "x"), want: map[string]int{"delete": 1}},
		"the name has a new Pod to it":      {replicas: 1, answer: apierrors.NewConflict(pods, "x", errFake), want: map[string]int{"delete": 1}},
		"two of three Pods to delete, gone": {replicas: 0, answer: apierrors.NewNotFound(pods, "x"), want: map[string]int{"delete": 2}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			owner := makeOwner("web").Replicas(tc.replicas).Obj()
			h := newHarness(t, append(runningPods(owner, "a", "b"), owner)...)
			h.before = func(call string) error {
				if strings.HasPrefix(call, "status") {
					return nil
				}
				return tc.answer
			}
			if _, err := h.reconcile(t, owner); err != nil {
				t.Errorf("Reconcile: %v", err)
			}
			h.checkCalls(t, "once", tc.want)
			if len(h.events) > 0 {
				t.Errorf("There is an event: %s", <-h.events)
			}
			if !h.expectations.Satisfied(identity(owner)) {
				t.Error("Something is still expected")
			}
			h.catchUp(t)
			if got, _ := h.view.owner(client.ObjectKeyFromObject(owner)); len(got.Status.Conditions) != 0 {
				t.Errorf("Conditions are %v, want none", got.Status.Conditions)
			}
		})
	}
}

// TestPendingExpires checks that an expectation which nothing fulfils does not keep an object for ever.
func TestPendingExpires(t *testing.T) {
	owner := makeOwner("web").Obj()
	h := newHarness(t, owner)
	h.expectations.ExpectCreations(identity(owner), []string{"never"})
	result, err := h.reconcile(t, owner)
	if err != nil || result.RequeueAfter < expectations.Timeout {
		t.Errorf("Reconcile returned %v, %v, want another pass after %s", result, err, expectations.Timeout)
	}
}
