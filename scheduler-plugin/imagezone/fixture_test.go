// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
	"k8s.io/utils/ptr"
)

const (
	mb        int64 = 1 << 20
	namespace       = "shop"
)

type images = map[string]int64

func makeNode(name, zone string, held images) *corev1.Node {
	node := st.MakeNode().Name(name).Images(held)
	if zone != "" {
		node.Label(corev1.LabelTopologyZone, zone)
	}
	return node.Obj()
}

// makeDisk returns a node with that much allocatable ephemeral-storage; with 0 it reports none.
func makeDisk(name string, allocatable int64, held images) *corev1.Node {
	node := makeNode(name, "", held)
	if allocatable > 0 {
		node.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceEphemeralStorage: *resource.NewQuantity(allocatable, resource.BinarySI),
		}
	}
	return node
}

// makePod returns a Pod without a node that requests that much ephemeral-storage.
func makePod(storage int64, imageNames ...string) *corev1.Pod {
	pod := withImages(st.MakePod().Name("new").Namespace(namespace).UID("new").Obj(), imageNames...)
	return requesting(pod, storage)
}

// storagePod returns a Pod on a node that requests that much ephemeral-storage.
func storagePod(name, node string, storage int64) *corev1.Pod {
	return requesting(st.MakePod().Name(name).Namespace(namespace).UID(name).Node(node).Obj(), storage)
}

func requesting(pod *corev1.Pod, storage int64) *corev1.Pod {
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
		Image: "registry.example/of-unknown-size:v1",
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceEphemeralStorage: *resource.NewQuantity(storage, resource.BinarySI),
		}},
	})
	return pod
}

// ownedPod returns a Pod of the ReplicaSet with the given UID, on a node unless that is empty.
func ownedPod(name, owner, node string) *corev1.Pod {
	pod := st.MakePod().Name(name).Namespace(namespace).UID(name).Node(node).Obj()
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: ptr.To(true),
	}}
	return pod
}

func withImages(pod *corev1.Pod, names ...string) *corev1.Pod {
	for _, name := range names {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Image: name})
	}
	return pod
}

// cluster is what one scheduling cycle sees.
type cluster struct {
	nodes []*corev1.Node
	pods  []*corev1.Pod
	// full names the nodes that no Filter plugin let through.
	full []string
}

func (c cluster) plugin(tb testing.TB, args string) (*ImageZone, []fwk.NodeInfo) {
	tb.Helper()
	metrics.Register() // the framework's Parallelizer counts its goroutines
	snapshot := cache.NewSnapshot(c.pods, c.nodes)
	handle, err := frameworkruntime.NewFramework(tb.Context(), nil, nil,
		frameworkruntime.WithSnapshotSharedLister(snapshot))
	if err != nil {
		tb.Fatalf("Building the framework: %v", err)
	}
	plugin, err := New(tb.Context(), &runtime.Unknown{Raw: []byte(args)}, handle)
	if err != nil {
		tb.Fatalf("Building the plugin: %v", err)
	}
	return plugin.(*ImageZone), c.feasible(tb, snapshot)
}

func (c cluster) feasible(tb testing.TB, snapshot *cache.Snapshot) []fwk.NodeInfo {
	tb.Helper()
	full := map[string]bool{}
	for _, name := range c.full {
		full[name] = true
	}
	var nodes []fwk.NodeInfo
	for _, node := range c.nodes {
		if full[node.Name] {
			continue
		}
		info, err := snapshot.NodeInfos().Get(node.Name)
		if err != nil {
			tb.Fatalf("Reading node %s of the snapshot: %v", node.Name, err)
		}
		nodes = append(nodes, info)
	}
	return nodes
}

// filter runs PreFilter and Filter as the framework does, and returns each node's status; nil if PreFilter skipped
// Filter.
func (c cluster) filter(t *testing.T, args string, pod *corev1.Pod) map[string]*fwk.Status {
	t.Helper()
	pl, nodes := c.plugin(t, args)
	state := framework.NewCycleState()
	if _, status := pl.PreFilter(t.Context(), state, pod, nodes); status.IsSkip() {
		return nil
	} else if !status.IsSuccess() {
		t.Fatalf("PreFilter: %v", status)
	}
	statuses := map[string]*fwk.Status{}
	for _, node := range nodes {
		statuses[node.Node().Name] = pl.Filter(t.Context(), state.Clone(), pod, node)
	}
	return statuses
}

// score runs PreScore, Score and NormalizeScore as the framework does. It returns nil if PreScore skipped the rest.
func (c cluster) score(t *testing.T, args string, pod *corev1.Pod) map[string]int64 {
	t.Helper()
	pl, nodes := c.plugin(t, args)
	state := framework.NewCycleState()
	if status := pl.PreScore(t.Context(), state, pod, nodes); status.IsSkip() {
		return nil
	} else if !status.IsSuccess() {
		t.Fatalf("PreScore: %v", status)
	}
	var list fwk.NodeScoreList
	for _, node := range nodes {
		score, status := pl.Score(t.Context(), state.Clone(), pod, node)
		if !status.IsSuccess() {
			t.Fatalf("Score of %s: %v", node.Node().Name, status)
		}
		list = append(list, fwk.NodeScore{Name: node.Node().Name, Score: score})
	}
	if status := pl.ScoreExtensions().NormalizeScore(t.Context(), state, pod, list); !status.IsSuccess() {
		t.Fatalf("NormalizeScore: %v", status)
	}
	scores := map[string]int64{}
	for _, s := range list {
		scores[s.Name] = s.Score
	}
	return scores
}
