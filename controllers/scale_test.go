// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/test/wrappers"
)

func TestSlowStartBatch(t *testing.T) {
	tests := map[string]struct {
		count, limit, wantCalls int
		wantErr                 bool
	}{
		"all fail":     {count: 10, limit: 0, wantCalls: 1, wantErr: true},
		"all succeed":  {count: 10, limit: 10, wantCalls: 10},
		"some succeed": {count: 10, limit: 5, wantCalls: 1 + 2 + 4, wantErr: true},
		"none wanted":  {count: 0, limit: 0, wantCalls: 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			tried, err := slowStartBatch(tc.count, func(int) error {
				if calls.Add(1) > int64(tc.limit) {
					return errFake
				}
				return nil
			})
			if got := int(calls.Load()); got != tc.wantCalls || tried != got {
				t.Errorf("%d calls were made and %d reported, want %d", got, tried, tc.wantCalls)
			}
			if errors.Is(err, errFake) != tc.wantErr {
				t.Errorf("Got error %v, want one: %v", err, tc.wantErr)
			}
		})
	}
}

// TestInParallel checks the bound, and that every call is made although some fail.
func TestInParallel(t *testing.T) {
	const count, limit = 50, 4
	var running, most, calls atomic.Int64
	err := inParallel(count, limit, func(i int) error {
		now := running.Add(1)
		defer running.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		calls.Add(1)
		if i%2 == 0 {
			return errFake
		}
		return nil
	})
	if !errors.Is(err, errFake) || calls.Load() != count || most.Load() > limit {
		t.Errorf("%d calls, at most %d at the same time, error %v; want %d, %d, %v",
			calls.Load(), most.Load(), err, count, limit, errFake)
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
		"created until it is recreated": {
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

// TestPlanIsLogged checks that a pass logs at V(2), in upstream's words, what it is about to do, and logs nothing if
// there is nothing to do.
func TestPlanIsLogged(t *testing.T) {
	tests := map[string]struct {
		replicas int32
		want     []string
	}{
		"too few": {replicas: 5, want: []string{`"msg"="Too few replicas" "need"=5 "creating"=3`}},
		"too many": {replicas: 1, want: []string{
			`"msg"="Too many replicas" "need"=1 "deleting"=1`, `"msg"="Deleting pod" "pod"={"name"="`,
		}},
		"enough": {replicas: 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			owner := makeOwner("web").Replicas(tc.replicas).Obj()
			h := newHarness(t, append(runningPods(owner, "a", "b"), owner)...)
			var lines []string
			log := funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{Verbosity: 2})
			if _, err := h.Reconcile(ctrl.LoggerInto(t.Context(), log), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(owner)}); err != nil {
				t.Fatalf("Reconcile: %v", err)
			}
			if len(lines) != len(tc.want) {
				t.Fatalf("Lines are %q, want %q", lines, tc.want)
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(lines[i], `"level"=2 `+want) {
					t.Errorf("Line %d is %s, want %s at level 2", i, lines[i], want)
				}
			}
		})
	}
}

// TestLongRefusal checks that an error too long for an event and a condition is cut to what each may hold.
func TestLongRefusal(t *testing.T) {
	why := strings.Repeat("restricted volume types: não permitido; ", 2000)
	refusal := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New(why))
	tests := map[string]struct {
		replicas int32
		reason   string
	}{
		"a creation is refused": {replicas: 3, reason: podtrailv1alpha1.FailedCreateReason},
		"a deletion is refused": {replicas: 1, reason: podtrailv1alpha1.FailedDeleteReason},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			owner := makeOwner("web").Replicas(tc.replicas).Obj()
			h := newHarness(t, append(runningPods(owner, "a", "b"), owner)...)
			h.before = func(call string) error {
				if strings.HasPrefix(call, "status") {
					return nil
				}
				return refusal
			}
			if _, err := h.reconcile(t, owner); !apierrors.IsForbidden(err) {
				t.Fatalf("Reconcile returned %.80v, want the refusal", err)
			}
			// The fake puts type and reason before the note.
			note := strings.TrimPrefix(<-h.events, "Warning "+tc.reason+" ")
			if len(note) > maxNote || !utf8.ValidString(note) || !strings.HasSuffix(note, "…") {
				t.Errorf("The event's note has %d bytes and is %.60q … %q, want at most %d bytes of valid UTF-8 that end with an ellipsis",
					len(note), note, note[len(note)-20:], maxNote)
			}
			h.catchUp(t)
			stored, _ := h.view.owner(client.ObjectKeyFromObject(owner))
			message := stored.Status.Conditions[0].Message
			if len(message) > 4096 || !strings.HasSuffix(message, "…") {
				t.Errorf("The condition's message has %d bytes and ends with %q, want at most 4,096 and an ellipsis",
					len(message), message[len(message)-20:])
			}
		})
	}
}
