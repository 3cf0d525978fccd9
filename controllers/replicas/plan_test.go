// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/wrappers"
)

func TestMakePlan(t *testing.T) {
	makeOwner := func(n int32) *wrappers.TeachingReplicaSetWrapper {
		return wrappers.MakeTeachingReplicaSet("ns", "web").UID("owner-uid").Replicas(n)
	}
	slot := func(i int) string { return SlotName("web", "owner-uid", i) }
	podAt := func(i int) *corev1.Pod { return wrappers.MakePod("ns", slot(i)).Of(makeOwner(1).Obj()).Obj() }
	tests := map[string]struct {
		owner   *podtrailv1alpha1.TeachingReplicaSet
		active  []*corev1.Pod
		others  []*corev1.Pod
		pending bool
		want    Plan
	}{
		"as many as wanted": {
			owner: makeOwner(1).Obj(), active: []*corev1.Pod{podAt(0)},
			want: Plan{Desired: 1, Current: 1},
		},
		"none yet": {
			owner: makeOwner(2).Obj(),
			want:  Plan{Desired: 2, Create: []string{slot(0), slot(1)}},
		},
		"a gap is filled first": {
			owner: makeOwner(4).Obj(), active: []*corev1.Pod{podAt(0), podAt(2)},
			want: Plan{Desired: 4, Current: 2, Create: []string{slot(1), slot(3)}},
		},
		"a name that is held is passed over": {
			owner: makeOwner(2).Obj(), active: []*corev1.Pod{podAt(0)},
			others: []*corev1.Pod{wrappers.MakePod("ns", slot(1)).Obj()},
			want:   Plan{Desired: 2, Current: 1, Create: []string{slot(2)}},
		},
		"one too many": {
			owner: makeOwner(1).Obj(), active: []*corev1.Pod{podAt(0), wrappers.MakePod("ns", "new").Node("n").Obj()},
			want: Plan{Desired: 1, Current: 2, Delete: []Deletion{{Pod: podAt(0), Rule: RuleUnassigned}}},
		},
		"deleted": {
			owner: makeOwner(2).Deleted(testNow).Obj(),
			want:  Plan{Hold: HoldDeleted, Desired: 2},
		},
		"paused": {
			owner: makeOwner(2).Paused().Obj(),
			want:  Plan{Hold: HoldPaused, Desired: 2},
		},
		"writes not seen": {
			owner: makeOwner(2).Obj(), pending: true,
			want: Plan{Hold: HoldPending, Desired: 2},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := observe(t, tc.owner, append(tc.active, tc.others...)...)
			o.Pending = tc.pending
			if diff := cmp.Diff(tc.want, MakePlan(o, tc.active)); diff != "" {
				t.Errorf("Plan differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBurst checks that one pass makes, and deletes, at most Burst Pods.
func TestBurst(t *testing.T) {
	owner := wrappers.MakeTeachingReplicaSet("ns", "web").UID("owner-uid").Replicas(Burst + 1).Obj()
	plan := MakePlan(observe(t, owner), nil)
	if got := len(plan.Create); got != Burst {
		t.Errorf("The plan creates %d Pods, want %d", got, Burst)
	}
	active := make([]*corev1.Pod, 2*Burst)
	for i := range active {
		active[i] = wrappers.MakePod("ns", fmt.Sprint(i)).Of(owner).Obj()
	}
	owner.Spec.Replicas = new(int32)
	if got := len(MakePlan(observe(t, owner), active).Delete); got != Burst {
		t.Errorf("The plan deletes %d Pods, want %d", got, Burst)
	}
}
