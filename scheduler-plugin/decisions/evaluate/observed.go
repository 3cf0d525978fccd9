// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// Observed is what the scheduler computed in one attempt. Nothing changes it after the attempt.
type Observed struct {
	Pod *corev1.Pod
	// Names are the names of the snapshot's nodes. Nodes are copies of these nodes, or nil if nothing is to be evaluated.
	// Both are from a NodeCache.
	Names Names
	Nodes []fwk.NodeInfo
	// Skipped are the plugins whose PreFilter returned Skip.
	Skipped sets.Set[string]
	// PreFilterStatus is the status of a PreFilter plugin that refused the Pod on every node, or nil.
	PreFilterStatus *fwk.Status
	// PreFilterNodes are the nodes that PreFilter leaves, or nil if it leaves all. PreFilterPlugins excluded the others.
	PreFilterNodes   sets.Set[string]
	PreFilterPlugins sets.Set[string]
	// Filtered are the answers of the filter plugins, in any order. A node may occur twice; its last answer counts.
	Filtered []Filtered
	// Scored are the weighted scores, in the order in which the nodes passed the filters, or nil if the scheduler needed
	// none.
	Scored []fwk.NodePluginScores
	// Chosen is the chosen node, or empty.
	Chosen string
}

// Filtered is the answer of the filter plugins about one node.
type Filtered struct {
	Node string
	// Status is that of the first plugin that refused the node, or nil if it passed.
	Status *fwk.Status
}

// byNode returns by the node's index its last answer and whether the scheduler looked at it. The slices are valid until
// s is used again.
func (o *Observed) byNode(s *scratch) (statuses []*fwk.Status, looked []bool) {
	statuses, looked = zeroed(&s.statuses, o.Names.Len()), zeroed(&s.looked, o.Names.Len())
	next := 0
	for _, f := range o.Filtered {
		if i, ok := o.Names.find(f.Node, next); ok {
			statuses[i], looked[i] = f.Status, true
			next = i + 1
		}
	}
	return statuses, looked
}

// nodesToScore returns the nodes to score: those that the scheduler scored, in its order, or, if it chose a node
// without scores, all nodes that no plugin refuses.
func (o *Observed) nodesToScore(a *answers) []fwk.NodeInfo {
	if len(o.Scored) > 0 {
		nodes := make([]fwk.NodeInfo, 0, len(o.Scored))
		for _, scored := range o.Scored {
			if i, ok := o.Names.index[scored.Name]; ok {
				nodes = append(nodes, o.Nodes[i])
			}
		}
		return nodes
	}
	if o.Chosen == "" || len(a.rejected) > 0 {
		return nil
	}
	var nodes []fwk.NodeInfo
	for i, node := range o.Nodes {
		if a.passes(i, node.Node().Name) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// passes reports whether no plugin refuses the node, whose index is i.
func (a *answers) passes(i int, name string) bool {
	for _, nodes := range a.allowed {
		if !nodes.Has(name) {
			return false
		}
	}
	for _, statuses := range a.filters {
		if !statuses[i].IsSuccess() {
			return false
		}
	}
	return true
}
