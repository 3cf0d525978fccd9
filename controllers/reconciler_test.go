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
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

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

// TestAvailabilityDoesNotWaitForRetries checks that Pods become available by the clock while creations fail, as
// upstream's own queue does it.
func TestAvailabilityDoesNotWaitForRetries(t *testing.T) {
	owner := makeOwner("web").Replicas(2).MinReadySeconds(5).Obj()
	h := newHarness(t, owner, wrappers.MakePod("ns", "a").Of(owner).Ready(testNow.Add(-2*time.Second)).Obj())
	h.before = func(call string) error {
		if strings.HasPrefix(call, "create") {
			return errFake
		}
		return nil
	}
	if _, err := h.reconcile(t, owner); !errors.Is(err, errFake) {
		t.Fatalf("Reconcile returned %v, want %v", err, errFake)
	}
	if diff := cmp.Diff([]time.Duration{3 * time.Second}, h.woken); diff != "" {
		t.Errorf("Passes asked for beside the retry differ (-want +got):\n%s", diff)
	}
}

// TestPendingDoesNotDelayAvailability checks that the earlier of two reasons for another pass counts.
func TestPendingDoesNotDelayAvailability(t *testing.T) {
	owner := makeOwner("web").Replicas(2).MinReadySeconds(5).Obj()
	h := newHarness(t, owner, wrappers.MakePod("ns", "a").Of(owner).Ready(testNow.Add(-2*time.Second)).Obj())
	h.expectations.ExpectCreations(identity(owner), []string{"never"})
	result, err := h.reconcile(t, owner)
	if want := 3 * time.Second; err != nil || result.RequeueAfter != want {
		t.Errorf("Reconcile returned %v, %v, want another pass in %s", result, err, want)
	}
}

// TestInvalidSelectorIsReported checks that an object that can never be reconciled gets a condition about it, once, and
// is not tried again.
func TestInvalidSelectorIsReported(t *testing.T) {
	owner := makeOwner("web").Generation(3).Obj()
	owner.Spec.Selector.MatchLabels = map[string]string{"app": "not a label value"}
	owner.Status.Replicas = 4
	h := newHarness(t, owner)
	if _, err := h.reconcile(t, owner); !errors.Is(err, reconcile.TerminalError(nil)) {
		t.Errorf("Reconcile returned %v, want a terminal error", err)
	}
	h.catchUp(t)
	got, _ := h.view.owner(client.ObjectKeyFromObject(owner))
	condition := apimeta.FindStatusCondition(got.Status.Conditions, podtrailv1alpha1.ReplicaFailure)
	if condition == nil || condition.Reason != podtrailv1alpha1.InvalidSelectorReason ||
		!strings.Contains(condition.Message, "not a label value") || condition.ObservedGeneration != 3 ||
		got.Status.ObservedGeneration != 3 || got.Status.Replicas != 4 {
		t.Errorf("Status is %+v, want the failure beside the old counts", got.Status)
	}
	h.taken()
	if _, err := h.reconcile(t, got); err == nil {
		t.Error("The second pass returned no error")
	}
	if diff := cmp.Diff(map[string]int{}, h.taken()); diff != "" {
		t.Errorf("The second pass wrote (-want +got):\n%s", diff)
	}
}

// TestStatusCountsWhatThePassMade checks that a change of the number of Pods causes one write, not two.
func TestStatusCountsWhatThePassMade(t *testing.T) {
	owner := makeOwner("web").Replicas(3).Obj()
	h := newHarness(t, owner)
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	if diff := cmp.Diff(map[string]int{"create": 3, "status": 1}, h.taken()); diff != "" {
		t.Errorf("Writes of the first pass differ (-want +got):\n%s", diff)
	}
	h.catchUp(t)
	got, _ := h.view.owner(client.ObjectKeyFromObject(owner))
	if got.Status.Replicas != 3 || got.Status.FullyLabeledReplicas != 3 {
		t.Errorf("Status is %+v, want 3 replicas", got.Status)
	}
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	if diff := cmp.Diff(map[string]int{}, h.taken()); diff != "" {
		t.Errorf("Writes of the second pass differ (-want +got):\n%s", diff)
	}
}
