// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
)

// sibling identifies the Pods that share a controller: for a Deployment those
// of one ReplicaSet, so the Pods of the revision before do not count.
type sibling struct {
	namespace  string
	controller types.UID
}

// matches reports whether the Pod is a sibling that will stay. A terminating
// one is about to leave its zone; upstream's PodTopologySpread leaves those out
// as well (countPodsMatchSelector).
func (s sibling) matches(pod *corev1.Pod) bool {
	if pod.Namespace != s.namespace || pod.DeletionTimestamp != nil {
		return false
	}
	controller := metav1.GetControllerOfNoCopy(pod)
	return controller != nil && controller.UID == s.controller
}

// countSiblings counts the siblings on all nodes of the zones that have a
// feasible node: those on full nodes are in the zone, too. Fewer than two zones
// leave nothing to prefer; nil is returned then, and no Pod is looked at.
func (pl *ImageZone) countSiblings(ctx context.Context, want sibling, feasible []fwk.NodeInfo) (map[string]int64, error) {
	counts := zonesOf(feasible)
	if len(counts) < 2 {
		return nil, nil
	}
	nodes, err := pl.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return nil, fmt.Errorf("listing the nodes of the snapshot: %w", err)
	}
	onNode := make([]int64, len(nodes))
	pl.handle.Parallelizer().Until(ctx, len(nodes), func(i int) {
		onNode[i] = siblingsOn(nodes[i], want)
	}, Name)
	for i, node := range nodes {
		if onNode[i] == 0 {
			continue
		}
		zone := node.Node().Labels[corev1.LabelTopologyZone]
		if _, ok := counts[zone]; ok {
			counts[zone] += onNode[i]
		}
	}
	return counts, nil
}

// zonesOf returns the zones of the nodes, each with the count 0.
func zonesOf(nodes []fwk.NodeInfo) map[string]int64 {
	zones := map[string]int64{}
	for _, node := range nodes {
		if zone := node.Node().Labels[corev1.LabelTopologyZone]; zone != "" {
			zones[zone] = 0
		}
	}
	return zones
}

func siblingsOn(node fwk.NodeInfo, want sibling) int64 {
	var count int64
	for _, pod := range node.GetPods() {
		if want.matches(pod.GetPod()) {
			count++
		}
	}
	return count
}

// zoneParts grades zones by their siblings: wholePart where there are fewest, 0
// where there are most, evenly in between. It returns nil when all zones have
// the same count.
//
// The grade depends on the difference alone, so one sibling too many weighs as
// much among a hundred as among three: the spread stays even as it grows.
func zoneParts(counts map[string]int64) map[string]int64 {
	first := true
	var fewest, most int64
	for _, count := range counts {
		if first {
			fewest, most, first = count, count, false
			continue
		}
		fewest, most = min(fewest, count), max(most, count)
	}
	if fewest == most {
		return nil
	}
	parts := make(map[string]int64, len(counts))
	for zone, count := range counts {
		parts[zone] = wholePart * (most - count) / (most - fewest)
	}
	return parts
}
