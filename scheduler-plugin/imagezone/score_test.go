// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
	"k8s.io/utils/ptr"
)

const digest = "@sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"

func TestScoreOfImages(t *testing.T) {
	nodeA := func(held images) *corev1.Node { return makeNode("a", "", held) }
	nodeB := func(held images) *corev1.Node { return makeNode("b", "", held) }
	makePod := func(names ...string) *corev1.Pod {
		return withImages(st.MakePod().Name("new").Namespace(namespace).Obj(), names...)
	}

	tests := map[string]struct {
		pod        *corev1.Pod
		nodes      []*corev1.Node
		args       string
		wantScores map[string]int64
	}{
		"the only node that holds the image gets all": {
			pod:        makePod("registry.example/app:v1"),
			nodes:      []*corev1.Node{nodeA(images{"registry.example/app:v1": mb}), nodeB(nil)},
			wantScores: map[string]int64{"a": 100, "b": 0},
		},
		"a node gets the share of the bytes that it holds": {
			pod: makePod("registry.example/big:v1", "registry.example/small:v1"),
			nodes: []*corev1.Node{
				nodeA(images{"registry.example/big:v1": 300 * mb}),
				nodeB(images{"registry.example/small:v1": 100 * mb}),
				makeNode("c", "", images{"registry.example/big:v1": 300 * mb, "registry.example/small:v1": 100 * mb}),
			},
			wantScores: map[string]int64{"a": 75, "b": 25, "c": 100},
		},
		"an image of two containers counts once": {
			pod: makePod("registry.example/app:v1", "registry.example/app:v1", "registry.example/tool:v1"),
			nodes: []*corev1.Node{
				nodeA(images{"registry.example/app:v1": mb}),
				nodeB(images{"registry.example/tool:v1": mb}),
			},
			wantScores: map[string]int64{"a": 50, "b": 50},
		},
		"an image that no node holds takes nothing from the others": {
			pod:        makePod("registry.example/app:v1", "registry.example/new:v1"),
			nodes:      []*corev1.Node{nodeA(images{"registry.example/app:v1": mb}), nodeB(nil)},
			wantScores: map[string]int64{"a": 100, "b": 0},
		},
		"nothing to decide when no node holds any image": {
			pod:   makePod("registry.example/new:v1"),
			nodes: []*corev1.Node{nodeA(images{"registry.example/other:v1": mb}), nodeB(nil)},
		},
		"an image of unknown size decides nothing": {
			pod:   makePod("registry.example/app:v1"),
			nodes: []*corev1.Node{nodeA(images{"registry.example/app:v1": 0}), nodeB(nil)},
		},
		"no tag means latest": {
			pod:        makePod("registry.example:5000/app"),
			nodes:      []*corev1.Node{nodeA(images{"registry.example:5000/app:latest": mb}), nodeB(nil)},
			wantScores: map[string]int64{"a": 100, "b": 0},
		},
		"a short name is the full name that containerd lists": {
			pod:        makePod("nginx:1.29"),
			nodes:      []*corev1.Node{nodeA(images{"docker.io/library/nginx:1.29": mb}), nodeB(nil)},
			wantScores: map[string]int64{"a": 100, "b": 0},
		},
		"a short name is the short name that Docker lists": {
			pod:        makePod("nginx"),
			nodes:      []*corev1.Node{nodeA(images{"nginx:latest": mb}), nodeB(nil)},
			wantScores: map[string]int64{"a": 100, "b": 0},
		},
		"a digest is found": {
			pod:        makePod("registry.example/app" + digest),
			nodes:      []*corev1.Node{nodeA(images{"registry.example/app" + digest: mb}), nodeB(nil)},
			wantScores: map[string]int64{"a": 100, "b": 0},
		},
		"of tag and digest the digest is looked up": {
			pod: makePod("registry.example/app:v1" + digest),
			nodes: []*corev1.Node{
				nodeA(images{"registry.example/app" + digest: mb}),
				nodeB(images{"registry.example/app:v1": mb}),
			},
			wantScores: map[string]int64{"a": 100, "b": 0},
		},
		"a name that is no reference is looked up as it stands": {
			pod:        makePod("Not A Reference:v1"),
			nodes:      []*corev1.Node{nodeA(images{"Not A Reference:v1": mb}), nodeB(nil)},
			wantScores: map[string]int64{"a": 100, "b": 0},
		},
		"image weight 0 leaves images out": {
			pod:   makePod("registry.example/app:v1"),
			nodes: []*corev1.Node{nodeA(images{"registry.example/app:v1": mb}), nodeB(nil)},
			args:  `{"imageWeight":0}`,
		},
		"sizes beyond what adds up stay within bounds": {
			pod: makePod("registry.example/x:v1", "registry.example/y:v1"),
			nodes: []*corev1.Node{
				nodeA(images{"registry.example/x:v1": math.MaxInt64, "registry.example/y:v1": math.MaxInt64}),
				nodeB(images{"registry.example/y:v1": math.MaxInt64}),
				makeNode("c", "", nil),
			},
			args:       `{"imageWeight":100}`,
			wantScores: map[string]int64{"a": 100, "b": 100, "c": 0},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			scores := cluster{nodes: tc.nodes}.score(t, tc.args, tc.pod)
			if diff := cmp.Diff(tc.wantScores, scores); diff != "" {
				t.Errorf("Scores (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScoreLooksAtTheContainersThatStartThePod(t *testing.T) {
	pod := st.MakePod().Name("new").Obj()
	pod.Spec.InitContainers = []corev1.Container{{Image: "registry.example/init:v1"}}
	pod.Spec.Containers = []corev1.Container{{Image: "registry.example/app:v1"}}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{Image: "registry.example/debug:v1"},
	}}
	nodes := []*corev1.Node{
		makeNode("init", "", images{"registry.example/init:v1": mb}),
		makeNode("app", "", images{"registry.example/app:v1": 3 * mb}),
		makeNode("debug", "", images{"registry.example/debug:v1": 5 * mb}),
	}

	scores := cluster{nodes: nodes}.score(t, "", pod)

	wantScores := map[string]int64{"init": 25, "app": 75, "debug": 0}
	if diff := cmp.Diff(wantScores, scores); diff != "" {
		t.Errorf("Scores (-want +got):\n%s", diff)
	}
}

func TestScoreOfZones(t *testing.T) {
	inNamespace := func(pod *corev1.Pod, namespace string) *corev1.Pod {
		pod.Namespace = namespace
		return pod
	}
	terminating := func(pod *corev1.Pod) *corev1.Pod {
		pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(0, 0)}
		return pod
	}
	ownedOnly := func(pod *corev1.Pod) *corev1.Pod {
		pod.OwnerReferences[0].Controller = ptr.To(false)
		return pod
	}
	a1, a2, b1, c1 := makeNode("a1", "zone-a", nil), makeNode("a2", "zone-a", nil), makeNode("b1", "zone-b", nil), makeNode("c1", "zone-c", nil)

	tests := map[string]struct {
		cluster    cluster
		pod        *corev1.Pod
		args       string
		wantScores map[string]int64
	}{
		"the zone without siblings gets all": {
			cluster:    cluster{nodes: []*corev1.Node{a1, b1}, pods: []*corev1.Pod{ownedPod("p1", "web", "a1")}},
			wantScores: map[string]int64{"a1": 0, "b1": 100},
		},
		"zones are graded evenly between fewest and most": {
			cluster: cluster{nodes: []*corev1.Node{a1, b1, c1}, pods: []*corev1.Pod{
				ownedPod("p1", "web", "a1"), ownedPod("p2", "web", "a1"), ownedPod("p3", "web", "b1"),
			}},
			wantScores: map[string]int64{"a1": 0, "b1": 50, "c1": 100},
		},
		"every node of a zone gets the zone's score": {
			cluster:    cluster{nodes: []*corev1.Node{a1, a2, b1}, pods: []*corev1.Pod{ownedPod("p1", "web", "b1")}},
			wantScores: map[string]int64{"a1": 100, "a2": 100, "b1": 0},
		},
		"siblings on nodes that are not feasible count": {
			cluster: cluster{nodes: []*corev1.Node{a1, a2, b1}, full: []string{"a2"},
				pods: []*corev1.Pod{ownedPod("p1", "web", "a2")}},
			wantScores: map[string]int64{"a1": 0, "b1": 100},
		},
		"zones without a feasible node are not compared": {
			cluster: cluster{nodes: []*corev1.Node{a1, b1, c1}, full: []string{"c1"}, pods: []*corev1.Pod{
				ownedPod("p1", "web", "a1"), ownedPod("p2", "web", "b1"),
			}},
		},
		"nothing to decide when the zones are even": {
			cluster: cluster{nodes: []*corev1.Node{a1, b1}, pods: []*corev1.Pod{
				ownedPod("p1", "web", "a1"), ownedPod("p2", "web", "b1"),
			}},
		},
		"nothing to decide within one zone": {
			cluster: cluster{nodes: []*corev1.Node{a1, a2}, pods: []*corev1.Pod{ownedPod("p1", "web", "a1")}},
		},
		"nothing to decide for a Pod without a controller": {
			cluster: cluster{nodes: []*corev1.Node{a1, b1}, pods: []*corev1.Pod{ownedPod("p1", "web", "a1")}},
			pod:     ownedOnly(ownedPod("new", "web", "")),
		},
		"strangers, leaving Pods and Pods of the same UID elsewhere do not count": {
			cluster: cluster{nodes: []*corev1.Node{a1, b1}, pods: []*corev1.Pod{
				ownedPod("p1", "web", "a1"),
				ownedPod("p2", "other", "b1"),
				terminating(ownedPod("p3", "web", "b1")),
				ownedOnly(ownedPod("p4", "web", "b1")),
				inNamespace(ownedPod("p5", "web", "b1"), "elsewhere"),
				st.MakePod().Name("p6").UID("p6").Namespace(namespace).Node("b1").Obj(),
			}},
			wantScores: map[string]int64{"a1": 0, "b1": 100},
		},
		"a node without a zone gets nothing": {
			cluster: cluster{nodes: []*corev1.Node{a1, b1, makeNode("none", "", nil)},
				pods: []*corev1.Pod{ownedPod("p1", "web", "a1")}},
			wantScores: map[string]int64{"a1": 0, "b1": 100, "none": 0},
		},
		"zone weight 0 leaves zones out": {
			cluster: cluster{nodes: []*corev1.Node{a1, b1}, pods: []*corev1.Pod{ownedPod("p1", "web", "a1")}},
			args:    `{"zoneWeight":0}`,
		},
		"by default a free zone wins over a present image": {
			cluster: cluster{
				nodes: []*corev1.Node{makeNode("a1", "zone-a", images{"registry.example/app:v1": mb}), b1},
				pods:  []*corev1.Pod{ownedPod("p1", "web", "a1")},
			},
			pod:        withImages(ownedPod("new", "web", ""), "registry.example/app:v1"),
			wantScores: map[string]int64{"a1": 33, "b1": 66},
		},
		"weights decide between image and zone": {
			cluster: cluster{
				nodes: []*corev1.Node{makeNode("a1", "zone-a", images{"registry.example/app:v1": mb}), b1},
				pods:  []*corev1.Pod{ownedPod("p1", "web", "a1")},
			},
			pod:        withImages(ownedPod("new", "web", ""), "registry.example/app:v1"),
			args:       `{"imageWeight":3,"zoneWeight":1}`,
			wantScores: map[string]int64{"a1": 75, "b1": 25},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pod := tc.pod
			if pod == nil {
				pod = ownedPod("new", "web", "")
			}
			scores := tc.cluster.score(t, tc.args, pod)
			if diff := cmp.Diff(tc.wantScores, scores); diff != "" {
				t.Errorf("Scores (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScoreWithoutPreScoreIsAnError(t *testing.T) {
	pl, nodes := cluster{nodes: []*corev1.Node{makeNode("a", "", nil)}}.plugin(t, "")
	state := framework.NewCycleState()
	if _, status := pl.Score(t.Context(), state, st.MakePod().Obj(), nodes[0]); !status.IsError() {
		t.Errorf("Score: want an error status, got %v", status)
	}
	if status := pl.NormalizeScore(t.Context(), state, st.MakePod().Obj(), fwk.NodeScoreList{}); !status.IsError() {
		t.Errorf("NormalizeScore: want an error status, got %v", status)
	}
}
