// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"slices"

	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// Taker takes what is needed of the nodes of the scheduler's snapshot after the cycle. It is used by the scheduling
// goroutine alone. The zero value is ready for use.
type Taker struct {
	names Names
	named []fwk.NodeInfo // whose names they are

	originals   []fwk.NodeInfo
	generations []int64
	copies      []fwk.NodeInfo
}

// Names returns the names of the nodes. It costs a comparison of two addresses for each node: between cycles the cache
// replaces a NodeInfo's content, but one NodeInfo is always of the same node (Cache.UpdateSnapshot).
func (t *Taker) Names(nodes []fwk.NodeInfo) Names {
	if !slices.Equal(t.named, nodes) {
		t.named, t.names = slices.Clone(nodes), newNames(nodes)
	}
	return t.names
}

// Copies returns copies of the nodes that can be read after the cycle, and must not be changed.
//
// It costs a look into each node and a copy for each that has changed. A copy shares what the original points to, and
// nothing writes there: between cycles the cache replaces a NodeInfo's whole content, and within a cycle who wants to
// change one takes a NodeInfo.Snapshot.
func (t *Taker) Copies(nodes []fwk.NodeInfo) []fwk.NodeInfo {
	if len(nodes) != len(t.originals) {
		t.originals = make([]fwk.NodeInfo, len(nodes))
		t.generations = make([]int64, len(nodes))
		t.copies = make([]fwk.NodeInfo, len(nodes))
	}
	shared := true // with attempts that were taken before
	for i, node := range nodes {
		generation := node.GetGeneration()
		if t.originals[i] == node && t.generations[i] == generation {
			continue
		}
		if shared {
			t.copies = slices.Clone(t.copies)
			shared = false
		}
		t.originals[i], t.generations[i], t.copies[i] = node, generation, copyOf(node)
	}
	return t.copies
}

func copyOf(node fwk.NodeInfo) fwk.NodeInfo {
	if concrete, ok := node.(*framework.NodeInfo); ok {
		content := *concrete
		return &content
	}
	return node.Snapshot()
}

// Names are the names of the nodes of one attempt, and mostly of many that follow one another. Nothing changes them.
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

// Len is how many there are.
func (n Names) Len() int { return len(n.names) }

// find returns where a node is, if it is there. It looks at guess first: the scheduler goes through the nodes in their
// order, so that a node mostly follows the one before it, and a comparison costs much less than the map.
func (n Names) find(name string, guess int) (int, bool) {
	if guess < len(n.names) && n.names[guess] == name {
		return guess, true
	}
	i, ok := n.index[name]
	return i, ok
}
