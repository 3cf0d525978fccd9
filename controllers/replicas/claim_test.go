// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/wrappers"
)

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// observe makes an observation in which no name is taken but those of the Pods.
func observe(t *testing.T, owner *podtrailv1alpha1.TeachingReplicaSet, pods ...*corev1.Pod) *Observation {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(&owner.Spec.Selector)
	if err != nil {
		t.Fatalf("Parsing the selector: %v", err)
	}
	return &Observation{
		Owner: owner, Selector: selector, Pods: pods, Now: testNow,
		NameTaken: func(name string) bool {
			for _, pod := range pods {
				if pod.Name == name {
					return true
				}
			}
			return false
		},
	}
}

func TestClaimPods(t *testing.T) {
	makeOwner := func() *wrappers.TeachingReplicaSetWrapper {
		return wrappers.MakeTeachingReplicaSet("ns", "web").UID("owner-uid")
	}
	owner := makeOwner().Obj()
	pod := func() *wrappers.PodWrapper { return wrappers.MakePod("ns", "pod") }
	tests := map[string]struct {
		owner *podtrailv1alpha1.TeachingReplicaSet
		pod   *corev1.Pod
		want  string
	}{
		"own and selected":          {pod: pod().Of(owner).Obj(), want: "Active"},
		"own, selected, deleted":    {pod: pod().Of(owner).Deleted(testNow).Obj(), want: "Terminating"},
		"own, selected, failed":     {pod: pod().Of(owner).Phase(corev1.PodFailed).Obj(), want: "Finished"},
		"own, failed and deleted":   {pod: pod().Of(owner).Phase(corev1.PodFailed).Deleted(testNow).Obj(), want: "Finished"},
		"own and no longer matched": {pod: pod().Of(owner).Label("app", "x").Obj(), want: "Release"},
		"own, no longer matched, deleted": {
			pod: pod().Of(owner).Label("app", "x").Deleted(testNow).Obj(), want: "Ignored",
		},
		"orphan that matches":              {pod: pod().Label("app", "web").Obj(), want: "Adopt"},
		"orphan that does not match":       {pod: pod().Label("app", "x").Obj(), want: "Ignored"},
		"orphan that is being deleted":     {pod: pod().Label("app", "web").Deleted(testNow).Obj(), want: "Ignored"},
		"orphan that has succeeded":        {pod: pod().Label("app", "web").Phase(corev1.PodSucceeded).Obj(), want: "Ignored"},
		"orphan of another namespace":      {pod: wrappers.MakePod("other", "pod").Label("app", "web").Obj(), want: "Ignored"},
		"another controller's":             {pod: pod().Label("app", "web").ControlledBy("apps/v1", "ReplicaSet", "web", "rs-uid").Obj(), want: "Ignored"},
		"an earlier object's of that name": {pod: pod().Of(makeOwner().UID("earlier").Obj()).Obj(), want: "Ignored"},
		"deleted owner keeps counting": {
			owner: makeOwner().Deleted(testNow).Obj(), pod: pod().Of(owner).Obj(), want: "Active",
		},
		"deleted owner does not adopt": {
			owner: makeOwner().Deleted(testNow).Obj(), pod: pod().Label("app", "web").Obj(), want: "Ignored",
		},
		"deleted owner does not release": {
			owner: makeOwner().Deleted(testNow).Obj(), pod: pod().Of(owner).Label("app", "x").Obj(), want: "Ignored",
		},
		"paused owner does not adopt": {
			owner: makeOwner().Paused().Obj(), pod: pod().Label("app", "web").Obj(), want: "Ignored",
		},
		"paused owner does not release": {
			owner: makeOwner().Paused().Obj(), pod: pod().Of(owner).Label("app", "x").Obj(), want: "Ignored",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.owner == nil {
				tc.owner = owner
			}
			claims := ClaimPods(observe(t, tc.owner, tc.pod))
			for list, pods := range map[string][]*corev1.Pod{
				"Active": claims.Active, "Adopt": claims.Adopt, "Release": claims.Release,
				"Terminating": claims.Terminating, "Finished": claims.Finished, "Ignored": claims.Ignored,
			} {
				if found := len(pods) > 0; found != (list == tc.want) {
					t.Errorf("The Pod is in %s: %v; want it only in %s", list, found, tc.want)
				}
			}
		})
	}
}
