// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"sync"

	fwk "k8s.io/kube-scheduler/framework"

	"podtrail.dev/podtrail/scheduler-plugin/decisions/evaluate"
)

// room is memory for what one attempt sees of its nodes.
type room struct {
	// filtered has room for each node, once more for a node that is tried before all others.
	filtered []evaluate.Filtered
	scored   []fwk.NodePluginScores
}

// rooms are used by one attempt after another: in a large cluster they are most of what recording an attempt would
// allocate, and the scheduler's garbage collector would have to clear them away.
type rooms struct{ pool sync.Pool }

// get returns a room for as many nodes. What is in it is to be written over.
func (r *rooms) get(nodes int) *room {
	if free, ok := r.pool.Get().(*room); ok && cap(free.filtered) > nodes {
		free.filtered = free.filtered[:nodes+1]
		return free
	}
	return &room{filtered: make([]evaluate.Filtered, nodes+1)}
}

// put takes a room back, and lets go of what it refers to.
func (r *rooms) put(free *room) {
	clear(free.filtered)
	clear(free.scored)
	r.pool.Put(free)
}
