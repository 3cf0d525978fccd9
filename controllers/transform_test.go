// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/test/wrappers"
)

// TestTrimPod checks that the controller decides about a trimmed Pod as about the whole one.
func TestTrimPod(t *testing.T) {
	owner := makeOwner("web").Obj()
	whole := func() *wrappers.PodWrapper {
		return wrappers.MakePod("ns", "pod").UID("uid").ResourceVersion("5").Of(owner).Node("node").
			Created(testNow.Add(-time.Hour)).Ready(testNow.Add(-time.Minute)).
			Annotation("big", "x").Annotation(corev1.PodDeletionCost, "7").
			Restarts("app", 3).SidecarRestarts("side", 2)
	}
	trimmed := trim(t, whole().Obj())
	if trimmed.Annotations["big"] != "" || len(trimmed.Spec.Containers) != 0 {
		t.Errorf("What nobody reads was kept: %v, %v", trimmed.Annotations, trimmed.Spec.Containers)
	}
	if diff := cmp.Diff(whole().Obj().Labels, trimmed.Labels); diff != "" {
		t.Errorf("Labels differ, and with them what is claimed (-want +got):\n%s", diff)
	}
	// Each of these differs from the whole Pod in one thing that ranks it first or second.
	others := map[string]*corev1.Pod{
		"cost":     whole().Annotation(corev1.PodDeletionCost, "8").Obj(),
		"restarts": whole().Restarts("app", 4).Obj(),
		"sidecars": whole().SidecarRestarts("other", 5).Obj(),
		"created":  whole().Created(testNow.Add(-100 * time.Hour)).Obj(),
		"ready":    wrappers.MakePod("ns", "pod").Of(owner).Node("node").Phase(corev1.PodRunning).Obj(),
		"node":     whole().Node("").Obj(),
		"phase":    whole().Phase(corev1.PodPending).Obj(),
	}
	for name, other := range others {
		t.Run(name, func(t *testing.T) {
			want := replicas.PodsToDelete([]*corev1.Pod{whole().Obj(), other}, nil, 1, testNow)[0]
			got := replicas.PodsToDelete([]*corev1.Pod{trimmed, trim(t, other)}, nil, 1, testNow)[0]
			if want.Rule != got.Rule || (want.Pod == other) != (got.Pod != trimmed) {
				t.Errorf("Trimmed Pods are ordered by %q, whole ones by %q", got.Rule, want.Rule)
			}
		})
	}
	if !replicas.IsAvailable(trimmed, 30, testNow) || replicas.IsAvailable(trimmed, 90, testNow) {
		t.Error("A trimmed Pod is available after another time than the whole one")
	}
}

// TestTrimForeignPod checks that of a Pod of another kind of controller only the identity is kept.
func TestTrimForeignPod(t *testing.T) {
	foreign := wrappers.MakePod("ns", "pod").UID("uid").ResourceVersion("5").Label("app", "web").Node("node").
		ControlledBy("apps/v1", "ReplicaSet", "web", "rs-uid").Obj()
	want := wrappers.MakePod("ns", "pod").UID("uid").ResourceVersion("5").
		ControlledBy("apps/v1", "ReplicaSet", "web", "rs-uid").Obj()
	want.Spec = corev1.PodSpec{}
	if diff := cmp.Diff(want, trim(t, foreign)); diff != "" {
		t.Errorf("Trimmed Pod differs (-want +got):\n%s", diff)
	}
}

func trim(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	obj, err := trimPod(pod)
	if err != nil {
		t.Fatalf("trimPod: %v", err)
	}
	trimmed, ok := obj.(*corev1.Pod)
	if !ok {
		t.Fatalf("trimPod returned a %T", obj)
	}
	return trimmed
}
