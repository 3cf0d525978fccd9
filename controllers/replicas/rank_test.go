// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"podtrail.dev/podtrail/test/wrappers"
)

// TestGetPodsToDelete carries the cases of upstream's test of this name. Its Pods have no times.
func TestGetPodsToDelete(t *testing.T) {
	unscheduled := wrappers.MakePod("ns", "unscheduled").Phase(corev1.PodPending).Obj()
	pending := wrappers.MakePod("ns", "pending").Node("node").Phase(corev1.PodPending).Obj()
	notReady := wrappers.MakePod("ns", "not-ready").Node("node").Phase(corev1.PodRunning).Obj()
	onNode1 := wrappers.MakePod("ns", "on-node-1").Node("node-1").Ready(time.Time{}).Obj()
	onNode2 := wrappers.MakePod("ns", "on-node-2").Node("node-2").Ready(time.Time{}).Obj()
	all := []*corev1.Pod{onNode1, onNode1, onNode2, notReady, pending, unscheduled}
	tests := map[string]struct {
		pods    []*corev1.Pod
		related []*corev1.Pod
		count   int
		want    []*corev1.Pod
	}{
		"no Pods":                          {},
		"all, in the order given":          {pods: []*corev1.Pod{notReady, onNode1}, related: []*corev1.Pod{notReady, onNode1}, count: 2, want: []*corev1.Pod{notReady, onNode1}},
		"some":                             {pods: []*corev1.Pod{onNode1, notReady}, related: []*corev1.Pod{onNode1, notReady}, count: 1, want: []*corev1.Pod{notReady}},
		"all of various states":            {pods: all, related: all, count: 6, want: all},
		"all of various states, unrelated": {pods: all, count: 6, want: all},
		"unscheduled before scheduled":     {pods: []*corev1.Pod{pending, unscheduled}, related: []*corev1.Pod{pending, unscheduled}, count: 1, want: []*corev1.Pod{unscheduled}},
		"not ready before ready":           {pods: []*corev1.Pod{onNode1, notReady, notReady}, related: []*corev1.Pod{onNode1, notReady, notReady}, count: 2, want: []*corev1.Pod{notReady, notReady}},
		"crowded node first":               {pods: []*corev1.Pod{onNode1, onNode2}, related: []*corev1.Pod{onNode1, onNode2, onNode2}, count: 1, want: []*corev1.Pod{onNode2}},
		"pending before running":           {pods: []*corev1.Pod{pending, notReady}, related: []*corev1.Pod{pending, notReady}, count: 1, want: []*corev1.Pod{pending}},
		"various states": {
			pods:    []*corev1.Pod{onNode1, onNode2, notReady, pending, unscheduled},
			related: []*corev1.Pod{onNode1, onNode2, notReady, pending, unscheduled},
			count:   3, want: []*corev1.Pod{unscheduled, pending, notReady},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []*corev1.Pod
			for _, deletion := range PodsToDelete(tc.pods, tc.related, tc.count, testNow) {
				got = append(got, deletion.Pod)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Pods to delete differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGoesFirst has one case for each rule, in the order of the rules: the Pods differ in that rule and in all that
// follow it, and the later ones say the opposite.
func TestGoesFirst(t *testing.T) {
	ago := func(d time.Duration) time.Time { return testNow.Add(-d) }
	pod := func(uid string) *wrappers.PodWrapper { return wrappers.MakePod("ns", uid).UID(uid) }
	node := func(uid string) *wrappers.PodWrapper { return pod(uid).Node("node") }
	tests := map[string]struct {
		first, second *corev1.Pod
		want          Rule
	}{
		"unassigned": {pod("a").Ready(ago(time.Hour)).Obj(), node("b").Obj(), RuleUnassigned},
		"pending before unknown": {
			node("a").Phase(corev1.PodPending).Annotation(corev1.PodDeletionCost, "9").Obj(),
			node("b").Phase(corev1.PodUnknown).Obj(), RulePhase,
		},
		"unknown before running": {
			node("a").Phase(corev1.PodUnknown).Annotation(corev1.PodDeletionCost, "9").Obj(),
			node("b").Phase(corev1.PodRunning).Obj(), RulePhase,
		},
		"not ready": {
			node("a").Phase(corev1.PodRunning).Annotation(corev1.PodDeletionCost, "9").Obj(),
			node("b").Ready(ago(time.Second)).Obj(), RuleNotReady,
		},
		"lower cost": {
			node("a").Ready(ago(time.Hour)).Annotation(corev1.PodDeletionCost, "-1").Obj(),
			node("b").Ready(ago(time.Second)).Obj(), RuleCost,
		},
		"a cost that is not a number counts as 0": {
			node("a").Ready(ago(time.Hour)).Annotation(corev1.PodDeletionCost, "+1").Created(ago(time.Second)).Obj(),
			node("b").Ready(ago(time.Hour)).Annotation(corev1.PodDeletionCost, "007").Created(ago(time.Hour)).Obj(), RuleAge,
		},
		"ready later": {
			node("a").Ready(ago(time.Second)).Obj(),
			node("b").Ready(ago(time.Hour)).Restarts("app", 3).Obj(), RuleReadyTime,
		},
		"ready at about the same time, by UID": {
			node("a").Ready(ago(70 * time.Minute)).Obj(),
			node("b").Ready(ago(60 * time.Minute)).Obj(), RuleReadyTime,
		},
		"ready since nobody knows when": {
			node("a").Ready(time.Time{}).Obj(), node("b").Ready(ago(time.Second)).Obj(), RuleReadyTime,
		},
		"more restarts": {
			node("a").Restarts("app", 2).SidecarRestarts("s", 0).Created(ago(time.Hour)).Obj(),
			node("b").Restarts("app", 1).SidecarRestarts("s", 5).Created(ago(time.Second)).Obj(), RuleRestarts,
		},
		"more restarts of a sidecar": {
			node("a").SidecarRestarts("s", 5).Created(ago(time.Hour)).Obj(),
			node("b").SidecarRestarts("s", 4).Created(ago(time.Second)).Obj(), RuleRestarts,
		},
		"created later": {node("b").Created(ago(time.Second)).Obj(), node("a").Created(ago(time.Hour)).Obj(), RuleAge},
		"created in the future": {
			node("b").Created(ago(-time.Hour)).Obj(), node("a").Created(ago(time.Second)).Obj(), RuleAge,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			order := rank([]*corev1.Pod{tc.first, tc.second}, nil)
			if less, rule := goesFirst(&order[0], &order[1], testNow); !less || rule != tc.want {
				t.Errorf("First goes first: %v by %q, want true by %q", less, rule, tc.want)
			}
			if less, rule := goesFirst(&order[1], &order[0], testNow); less || rule != tc.want {
				t.Errorf("Second goes first: %v by %q, want false by %q", less, rule, tc.want)
			}
		})
	}
}
