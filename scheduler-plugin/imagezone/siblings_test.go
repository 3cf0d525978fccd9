// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2/ktesting"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// TestSiblingCountsFollowChanges lets Pods, nodes and zones come, change and go at random, and compares the counts that
// are kept with a recount each time.
func TestSiblingCountsFollowChanges(t *testing.T) {
	const clusters, changes = 100, 60
	compared := 0
	for seed := range uint64(clusters) {
		w := world{rnd: rand.New(rand.NewPCG(seed, 0))}
		counts := newSiblingCounts()
		for range changes {
			w.change(t)
			feasible := slices.DeleteFunc(slices.Clone(w.nodes), func(fwk.NodeInfo) bool { return w.rnd.IntN(3) == 0 })
			want := sibling{namespace: namespace, controller: w.owner()}
			got, zones := counts.perZone(w.nodes, feasible, want)
			for _, node := range w.nodes {
				if got == nil {
					break
				}
				if is, want := nameOf(zones[node.Node()]), node.Node().Labels[corev1.LabelTopologyZone]; is != want {
					t.Fatalf("Seed %d: node %s is in zone %q, want %q", seed, node.Node().Name, is, want)
				}
			}
			if diff := cmp.Diff(w.recount(feasible, want), byName(got)); diff != "" {
				t.Fatalf("Seed %d: counts (-want +got):\n%s", seed, diff)
			}
			if got != nil {
				compared++
			}
		}
		counts.perZone(nil, nil, sibling{})
		if len(counts.zones)+len(counts.zoneOf) > 0 {
			t.Errorf("Seed %d: without nodes there are still zones %v", seed, counts.zones)
		}
	}
	if compared < clusters {
		t.Errorf("Two zones or more were compared %d times, too seldom to prove anything", compared)
	}
}

func nameOf(z *zone) string {
	if z == nil {
		return ""
	}
	return z.name
}

func byName(counts map[*zone]int64) map[string]int64 {
	if counts == nil {
		return nil
	}
	out := map[string]int64{}
	for z, n := range counts {
		out[z.name] += n
	}
	return out
}

// world is a cluster that changes.
type world struct {
	rnd   *rand.Rand
	nodes []fwk.NodeInfo
	made  int
}

func (w *world) change(t *testing.T) {
	logger, _ := ktesting.NewTestContext(t)
	kind := w.rnd.IntN(6)
	if len(w.nodes) == 0 {
		kind = 0
	}
	w.made++
	switch i := w.rnd.IntN(max(1, len(w.nodes))); kind {
	case 0:
		info := framework.NewNodeInfo()
		info.SetNode(makeNode(fmt.Sprintf("node-%d", w.made), w.zone(), nil))
		w.nodes = slices.Insert(w.nodes, i, fwk.NodeInfo(info))
	case 1:
		w.nodes = slices.Delete(w.nodes, i, i+1)
	case 2: // as the cache's snapshot takes over a change: the same NodeInfo with other content
		w.nodes[i].(*framework.NodeInfo).SetNode(makeNode(w.nodes[i].Node().Name, w.zone(), nil))
	case 3:
		if pods := w.nodes[i].GetPods(); len(pods) > 0 {
			if err := w.nodes[i].RemovePod(logger, pods[w.rnd.IntN(len(pods))].GetPod()); err != nil {
				t.Fatalf("Removing a Pod: %v", err)
			}
		}
	default:
		pod := ownedPod(fmt.Sprintf("pod-%d", w.made), string(w.owner()), w.nodes[i].Node().Name)
		switch w.rnd.IntN(6) {
		case 0:
			pod.DeletionTimestamp = &metav1.Time{}
		case 1:
			pod.Namespace = "elsewhere"
		case 2:
			pod.OwnerReferences = nil
		}
		info, err := framework.NewPodInfo(pod)
		if err != nil {
			t.Fatalf("Making a PodInfo: %v", err)
		}
		w.nodes[i].AddPodInfo(info)
	}
}

// zone is one of three, or none.
func (w *world) zone() string {
	return []string{"", "a", "b", "c"}[w.rnd.IntN(4)]
}

func (w *world) owner() types.UID {
	return types.UID(fmt.Sprintf("app-%d", w.rnd.IntN(3)))
}

func (w *world) recount(feasible []fwk.NodeInfo, want sibling) map[string]int64 {
	counts := map[string]int64{}
	for _, node := range feasible {
		if zone := node.Node().Labels[corev1.LabelTopologyZone]; zone != "" {
			counts[zone] = 0
		}
	}
	for _, node := range w.nodes {
		zone := node.Node().Labels[corev1.LabelTopologyZone]
		for _, info := range node.GetPods() {
			pod := info.GetPod()
			owner := metav1.GetControllerOfNoCopy(pod)
			if _, compared := counts[zone]; compared && owner != nil && owner.UID == want.controller &&
				pod.Namespace == want.namespace && pod.DeletionTimestamp == nil {
				counts[zone]++
			}
		}
	}
	if len(counts) < 2 {
		return nil
	}
	return counts
}
