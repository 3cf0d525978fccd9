// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// Seen is what the scheduler computed in one attempt, as it passed by. Nothing changes it afterwards.
type Seen struct {
	Pod *corev1.Pod
	// Names are those of the snapshot's nodes, and Nodes copies of them; nil if the attempt is not to be evaluated. A Taker
	// makes both.
	Names Names
	Nodes []fwk.NodeInfo
	// Skipped are the plugins whose PreFilter found nothing to do.
	Skipped sets.Set[string]
	// PreFilterStatus is the refusal of the Pod as a whole, or nil.
	PreFilterStatus *fwk.Status
	// PreFilterNodes are the nodes that PreFilter leaves; nil if all. PreFilterPlugins are those that narrowed them.
	PreFilterNodes   sets.Set[string]
	PreFilterPlugins sets.Set[string]
	// Filtered are the answers of the filter plugins, in any order; a node may occur twice, and the last one counts.
	Filtered []Filtered
	// Scored are the weighted scores, in the order in which the nodes passed; nil if the scheduler needed none.
	Scored []fwk.NodePluginScores
	// Chosen is the node, or empty.
	Chosen string
}

// Filtered is the answer on one node: nil passes, else the status of the first plugin that refused.
type Filtered struct {
	Node   string
	Status *fwk.Status
}

// byNode returns the last answer on each node, and whether the scheduler looked at it, by the node's index.
func (s *Seen) byNode(r *room) (statuses []*fwk.Status, looked []bool) {
	statuses, looked = cleared(&r.statuses, len(s.Names.names)), cleared(&r.looked, len(s.Names.names))
	next := 0
	for _, f := range s.Filtered {
		if i, ok := s.Names.find(f.Node, next); ok {
			statuses[i], looked[i] = f.Status, true
			next = i + 1
		}
	}
	return statuses, looked
}

// toScore returns the nodes to score: those that the scheduler scored, in its order. If it scored none though it chose
// one, they are all that no plugin refuses.
func (s *Seen) toScore(a *answers) []fwk.NodeInfo {
	if len(s.Scored) > 0 {
		nodes := make([]fwk.NodeInfo, 0, len(s.Scored))
		for _, scored := range s.Scored {
			if i, ok := s.Names.index[scored.Name]; ok {
				nodes = append(nodes, s.Nodes[i])
			}
		}
		return nodes
	}
	if s.Chosen == "" || len(a.whole) > 0 {
		return nil
	}
	var nodes []fwk.NodeInfo
	for i, node := range s.Nodes {
		if a.passes(i, node.Node().Name) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// passes says whether no plugin refuses a node.
func (a *answers) passes(i int, name string) bool {
	for _, nodes := range a.only {
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
