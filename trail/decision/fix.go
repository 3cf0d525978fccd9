// SPDX-License-Identifier: Apache-2.0

package decision

import (
	"cmp"
	"slices"
	"strings"
)

// Fix is what must change for the Pod to fit on some nodes.
type Fix struct {
	// Nodes are indexes in Matrix.Nodes, of nodes with the same refusals.
	Nodes []int
	// Refusals are what keeps the Pod from these nodes.
	Refusals []Refusal
	// Sure reports whether every plugin was asked. Otherwise there may be more refusals.
	Sure bool
	cost int
}

// Refusal is one refusal and its remedy.
type Refusal struct {
	Plugin string `json:"plugin"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy"`
	// Seen reports whether the scheduler itself got this refusal.
	Seen bool `json:"seen"`
}

// remedy is what resolves a plugin's refusal, and how much work it is for a person: from 1 (one command, which another
// one undoes) to 9 (the Pod must be created again). The order is a judgement for somebody who waits for one Pod.
type remedy struct {
	cost int
	text string
}

var remedies = map[string]remedy{
	"NodeUnschedulable":  {1, "uncordon the node"},
	"TaintToleration":    {2, "remove the taint from the node, or let the Pod tolerate it"},
	"NodeAffinity":       {2, "give the node the labels that the Pod requires, or change what the Pod requires"},
	"NodeResourcesFit":   {3, "free the resource on the node, or let the Pod request less"},
	"ImageZone":          {3, "free space on the node's disk"},
	"NodePorts":          {3, "free the host port on the node, or let the Pod use another"},
	"PodTopologySpread":  {4, "remove Pods from the fuller domains, or let the Pod's constraints allow more skew"},
	"InterPodAffinity":   {4, "move the Pods that the affinity selects, or change the affinity"},
	"NodeVolumeLimits":   {5, "detach a volume from the node"},
	"VolumeRestrictions": {5, "delete the other Pod that uses the volume"},
	"VolumeZone":         {6, "use a volume in the node's zone"},
	"VolumeBinding":      {6, "create a matching volume that the node can reach"},
	"DynamicResources":   {6, "free or add the device that the claim requests"},
	"NodeName":           {9, "create the Pod without spec.nodeName"},
}

var unknownRemedy = remedy{5, "look up what the plugin requires"}

// Fixes returns what must change on which nodes, the cheapest fix first, and of equally cheap ones the one that helps
// on more nodes. Nodes that no plugin refuses need no fix and are left out.
func Fixes(m *Matrix) []Fix {
	var out []Fix
	for _, row := range m.Rows {
		if f := m.fix(row); len(f.Refusals) > 0 {
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b Fix) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(len(b.Nodes), len(a.Nodes)))
	})
	return out
}

func (m *Matrix) fix(row Row) Fix {
	f := Fix{Nodes: row.Nodes, Sure: true}
	for i, v := range row.Verdicts {
		filter := m.Filters[i]
		if !v.Asked() && !filter.Skipped {
			f.Sure = false
		}
		if !v.Refused() {
			continue
		}
		r, known := remedies[filter.Plugin]
		if !known {
			r = unknownRemedy
		}
		text := m.Reasons[v.Reason].Text
		// Each further resource that is short is one more thing to free.
		f.cost += r.cost * (1 + strings.Count(text, "; "))
		f.Refusals = append(f.Refusals, Refusal{Plugin: filter.Plugin, Reason: text, Remedy: r.text, Seen: v.Seen})
	}
	if !f.Sure {
		f.cost++ // verdicts that are not known may hide more refusals, so rank it lower
	}
	return f
}
