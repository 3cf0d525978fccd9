// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"sync"

	fwk "k8s.io/kube-scheduler/framework"

	"podtrail.dev/podtrail/scheduler-plugin/decisions/evaluate"
)

// buffers hold what one attempt observes of its nodes.
type buffers struct {
	// filtered has one element for each node, and one more for a node that is tried before all others.
	filtered []evaluate.Filtered
	scored   []fwk.NodePluginScores
}

// bufferPool reuses the buffers of finished attempts. In a large cluster they are most of what recording an attempt
// allocates, and the scheduler's garbage collector would have to free them.
type bufferPool struct{ pool sync.Pool }

// get returns buffers for that many nodes, whose content is to be overwritten.
func (p *bufferPool) get(nodes int) *buffers {
	if b, ok := p.pool.Get().(*buffers); ok && cap(b.filtered) > nodes {
		b.filtered = b.filtered[:nodes+1]
		return b
	}
	return &buffers{filtered: make([]evaluate.Filtered, nodes+1)}
}

// put takes buffers back, and drops what they refer to.
func (p *bufferPool) put(b *buffers) {
	clear(b.filtered)
	clear(b.scored)
	p.pool.Put(b)
}
