// SPDX-License-Identifier: Apache-2.0

package decision

import (
	"cmp"
	"slices"
	"strings"
)

// Change is what would have to be otherwise for a Pod to fit on some nodes.
type Change struct {
	// Nodes are indexes in Matrix.Nodes, of nodes that lack the same.
	Nodes []int
	// Lacks are the refusals, each with what would take it away.
	Lacks []Lack
	// Sure says that every plugin was asked. Otherwise there can be more refusals than were seen.
	Sure bool
	cost int
}

// Lack is one refusal and its remedy.
type Lack struct {
	Plugin string `json:"plugin"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy"`
	// Seen says that the scheduler itself was told so.
	Seen bool `json:"seen"`
}

// remedy is what takes a plugin's refusal away, and how much it takes a person to do: from 1 (one command that is
// undone by another) to 9 (the Pod must be made anew). The order is a judgement, made for someone who waits for one Pod.
type remedy struct {
	cost  int
	words string
}

var remedies = map[string]remedy{
	"NodeUnschedulable":  {1, "uncordon the node"},
	"TaintToleration":    {2, "take the taint off the node, or let the Pod tolerate it"},
	"NodeAffinity":       {2, "give the node the labels that the Pod asks for, or let the Pod ask for others"},
	"NodeResourcesFit":   {3, "free it on the node, or let the Pod request less"},
	"ImageZone":          {3, "make room on the node's disk"},
	"NodePorts":          {3, "free the host port on the node, or let the Pod use another"},
	"PodTopologySpread":  {4, "take Pods off the fuller domains, or let the Pod's constraints allow more skew"},
	"InterPodAffinity":   {4, "move the Pods that the affinity is about, or change it"},
	"NodeVolumeLimits":   {5, "detach a volume from the node"},
	"VolumeRestrictions": {5, "let the other Pod give up the volume"},
	"VolumeZone":         {6, "use a volume of the node's zone"},
	"VolumeBinding":      {6, "make a volume that fits, reachable from the node"},
	"DynamicResources":   {6, "free or add the device that the claim asks for"},
	"NodeName":           {9, "make the Pod without spec.nodeName"},
}

var unknownRemedy = remedy{5, "see what the plugin asks for"}

// Changes returns what would have to change on which nodes, the cheapest first; of equal ones that which helps on more
// nodes. Nodes that no plugin refuses need no change and are left out.
func Changes(m *Matrix) []Change {
	var out []Change
	for _, row := range m.Rows {
		if c := m.change(row); len(c.Lacks) > 0 {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(len(b.Nodes), len(a.Nodes)))
	})
	return out
}

func (m *Matrix) change(row Row) Change {
	c := Change{Nodes: row.Nodes, Sure: true}
	for i, v := range row.Verdicts {
		filter := m.Filters[i]
		if !v.Asked() && !filter.Skipped {
			c.Sure = false
		}
		if !v.Refused() {
			continue
		}
		r, known := remedies[filter.Plugin]
		if !known {
			r = unknownRemedy
		}
		text := m.Reasons[v.Reason].Text
		// Each further resource that is short is one thing more to free.
		c.cost += r.cost * (1 + strings.Count(text, "; "))
		c.Lacks = append(c.Lacks, Lack{Plugin: filter.Plugin, Reason: text, Remedy: r.words, Seen: v.Seen})
	}
	if !c.Sure {
		c.cost++ // the unknown is no gift
	}
	return c
}
