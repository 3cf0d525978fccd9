// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
)

// sibling identifies the Pods that share a controller: for a Deployment those of one ReplicaSet, so the Pods of the
// revision before do not count.
type sibling struct {
	namespace  string
	controller types.UID
}

// siblingOf returns the group of siblings to which a Pod belongs. A terminating Pod belongs to none: it is about to
// leave its zone. Upstream's PodTopologySpread leaves those out too (countPodsMatchSelector).
func siblingOf(pod *corev1.Pod) (s sibling, ok bool) {
	controller := metav1.GetControllerOfNoCopy(pod)
	if controller == nil || pod.DeletionTimestamp != nil {
		return sibling{}, false
	}
	return sibling{namespace: pod.Namespace, controller: controller.UID}, true
}

// siblingCounts counts the Pods of each controller in each zone.
//
// It is kept from one cycle to the next: counting all Pods of a cluster again for each Pod would cost more than
// everything else in this plugin. A node is counted again if its generation has changed. The scheduler's cache gives a
// NodeInfo a new one with each change, and never the same twice (framework.NodeInfo.Generation).
type siblingCounts struct {
	mu    sync.Mutex
	nodes []countedNode
	// zones are the zones that have nodes, by name.
	zones map[string]*zone
	// zoneOf is replaced, never changed, so that Score can read it without the lock.
	zoneOf nodeZones
}

// zone is a zone that has nodes. In a cycle its address identifies it: looking a name up means reading its text, which
// is elsewhere in memory for each node.
type zone struct {
	name  string
	nodes int64
	// pods has no siblings with the count 0.
	pods map[sibling]int64
}

// nodeZones are the zones of all nodes of a snapshot, by the snapshot's Node object, and nil for a node without a zone.
type nodeZones map[*corev1.Node]*zone

// countedNode is what a node has added to the counts.
type countedNode struct {
	generation int64
	node       *corev1.Node
	zone       *zone
	pods       map[sibling]int64
}

func newSiblingCounts() *siblingCounts {
	return &siblingCounts{zones: map[string]*zone{}}
}

// perZone returns the number of siblings in each zone that has a feasible node, counted on all of the zone's nodes, and
// the zone of each node. It returns nil if there are fewer than two such zones, so that there is nothing to prefer.
func (c *siblingCounts) perZone(all, feasible []fwk.NodeInfo, want sibling) (map[*zone]int64, nodeZones) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.update(all)
	counts := make(map[*zone]int64, len(c.zones))
	for _, node := range feasible {
		if len(counts) == len(c.zones) {
			break
		}
		if z := c.zoneOf[node.Node()]; z != nil {
			counts[z] = z.pods[want]
		}
	}
	if len(counts) < 2 {
		return nil, nil
	}
	return counts, c.zoneOf
}

// update updates the counts to what the nodes hold now.
func (c *siblingCounts) update(nodes []fwk.NodeInfo) {
	others := len(c.nodes) != len(nodes)
	for len(c.nodes) > len(nodes) {
		last := len(c.nodes) - 1
		c.add(c.nodes[last], -1)
		c.nodes = c.nodes[:last]
	}
	for i, node := range nodes {
		if i == len(c.nodes) {
			c.nodes = append(c.nodes, countedNode{})
		}
		if c.nodes[i].generation == node.GetGeneration() {
			continue
		}
		others = others || c.nodes[i].node != node.Node()
		before := c.nodes[i]
		c.nodes[i] = c.count(node)
		c.add(c.nodes[i], 1) // first, so that the zone stays the same if this is its only node
		c.add(before, -1)
	}
	if others {
		c.zoneOf = make(nodeZones, len(c.nodes))
		for _, counted := range c.nodes {
			c.zoneOf[counted.node] = counted.zone
		}
	}
}

// add adds what a node holds, or with -1 takes it away.
func (c *siblingCounts) add(node countedNode, times int64) {
	z := node.zone
	if z == nil {
		return
	}
	if z.nodes += times; z.nodes == 0 {
		delete(c.zones, z.name)
	}
	for s, pods := range node.pods {
		if z.pods[s] += times * pods; z.pods[s] == 0 {
			delete(z.pods, s)
		}
	}
}

// count counts the Pods of a node, and creates its zone if it is the zone's first node.
func (c *siblingCounts) count(node fwk.NodeInfo) countedNode {
	counted := countedNode{generation: node.GetGeneration(), node: node.Node()}
	if name := counted.node.Labels[corev1.LabelTopologyZone]; name != "" {
		if counted.zone = c.zones[name]; counted.zone == nil {
			counted.zone = &zone{name: name, pods: map[sibling]int64{}}
			c.zones[name] = counted.zone
		}
	}
	for _, pod := range node.GetPods() {
		if s, ok := siblingOf(pod.GetPod()); ok {
			if counted.pods == nil {
				counted.pods = map[sibling]int64{}
			}
			counted.pods[s]++
		}
	}
	return counted
}
