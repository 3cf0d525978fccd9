// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"slices"

	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// NodeCache keeps the names and copies of the nodes in the scheduler's snapshot, for use after the cycle. Only the
// scheduling goroutine may use it. The zero value is ready for use.
type NodeCache struct {
	names Names
	named []fwk.NodeInfo // the nodes with these names

	originals   []fwk.NodeInfo
	generations []int64
	copies      []fwk.NodeInfo
}

// Names returns the names of the nodes: the same Names as long as the nodes are the same. It costs a comparison of two
// addresses for each node: between cycles the scheduler's cache replaces the content of a NodeInfo, but a NodeInfo
// always belongs to the same node (Cache.UpdateSnapshot).
func (c *NodeCache) Names(nodes []fwk.NodeInfo) Names {
	if !slices.Equal(c.named, nodes) {
		c.named, c.names = slices.Clone(nodes), newNames(nodes)
	}
	return c.names
}

// Copies returns copies of the nodes that can be read after the cycle and must not be changed.
//
// It costs a look at each node and a copy of each node that has changed. A copy shares what the original points to, and
// nothing writes there: between cycles the scheduler's cache replaces the whole content of a NodeInfo, and within a
// cycle whoever changes one works on a NodeInfo.Snapshot.
func (c *NodeCache) Copies(nodes []fwk.NodeInfo) []fwk.NodeInfo {
	if len(nodes) != len(c.originals) {
		c.originals = make([]fwk.NodeInfo, len(nodes))
		c.generations = make([]int64, len(nodes))
		c.copies = make([]fwk.NodeInfo, len(nodes))
	}
	shared := true // with earlier attempts
	for i, node := range nodes {
		generation := node.GetGeneration()
		if c.originals[i] == node && c.generations[i] == generation {
			continue
		}
		if shared {
			c.copies = slices.Clone(c.copies)
			shared = false
		}
		c.originals[i], c.generations[i], c.copies[i] = node, generation, copyOf(node)
	}
	return c.copies
}

func copyOf(node fwk.NodeInfo) fwk.NodeInfo {
	if concrete, ok := node.(*framework.NodeInfo); ok {
		content := *concrete
		return &content
	}
	return node.Snapshot()
}

// Names are the names of an attempt's nodes, usually shared with the attempts before and after it. Nothing changes
// them.
type Names struct {
	names []string
	index map[string]int
}

func newNames(nodes []fwk.NodeInfo) Names {
	n := Names{names: make([]string, len(nodes)), index: make(map[string]int, len(nodes))}
	for i, node := range nodes {
		n.names[i] = node.Node().Name
		n.index[n.names[i]] = i
	}
	return n
}

// Len returns the number of names.
func (n Names) Len() int { return len(n.names) }

// find returns the index of a node and whether there is such a node. It looks at guess first: the scheduler goes
// through the nodes in order, so a node usually follows the one before it, and a comparison costs much less than the
// map.
func (n Names) find(name string, guess int) (int, bool) {
	if guess < len(n.names) && n.names[guess] == name {
		return guess, true
	}
	i, ok := n.index[name]
	return i, ok
}
