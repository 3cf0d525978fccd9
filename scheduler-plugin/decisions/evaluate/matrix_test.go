// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"

	"podtrail.dev/podtrail/trail/decision"
)

// TestWithoutEvaluation: the matrix has what the scheduler saw and nothing else: the verdicts of the plugins up to the
// one that refused, about the nodes that it looked at.
func TestWithoutEvaluation(t *testing.T) {
	const clusters = 200
	_, evaluator := upstreams(t)
	random := rand.New(rand.NewPCG(7, 36))
	for range clusters {
		nodes, running := randomCluster(random)
		infos, err := internalcache.NewSnapshot(running, nodes).NodeInfos().List()
		if err != nil {
			t.Fatalf("Listing the nodes: %v", err)
		}
		observed := &Observed{Pod: randomPod(random), Names: new(NodeCache).Names(infos), Skipped: sets.New("VolumeZone")}
		refusedBy := map[string]string{}
		for _, node := range infos {
			name := node.Node().Name
			switch random.IntN(3) {
			case 0:
				observed.Filtered = append(observed.Filtered, Filtered{Node: name})
			case 1:
				refusedBy[name] = []string{"TaintToleration", "NodeResourcesFit", "PodTopologySpread"}[random.IntN(3)]
				status := fwk.NewStatus(fwk.Unschedulable, "no scratch for "+refusedBy[name]).WithPlugin(refusedBy[name])
				observed.Filtered = append(observed.Filtered, Filtered{Node: name, Status: status})
			}
		}
		looked := func(name string) bool {
			return slices.ContainsFunc(observed.Filtered, func(f Filtered) bool { return f.Node == name })
		}

		matrix, evaluation := evaluator.Record(t.Context(), observed, false, "not today")
		if err := matrix.Validate(); err != nil {
			t.Fatalf("The matrix does not fit together: %v", err)
		}
		if evaluation.Done || evaluation.Why != "not today" {
			t.Fatalf("Evaluation %+v, want it not done, and why", evaluation)
		}
		withRow := 0
		for _, row := range matrix.Rows {
			for _, node := range row.Nodes {
				withRow++
				name := matrix.Nodes[node]
				if row.Looked != looked(name) {
					t.Fatalf("Node %s: looked at %t, want %t", name, row.Looked, !row.Looked)
				}
				if want := verdictsOf(&matrix, row.Looked, refusedBy[name]); !slices.Equal(row.Verdicts, want) {
					t.Fatalf("Node %s, refused by %q: verdicts %v, want %v of %v", name, refusedBy[name], row.Verdicts, want, matrix.Filters)
				}
			}
		}
		if withRow != len(infos) {
			t.Fatalf("%d of %d nodes have a row", withRow, len(infos))
		}
	}
}

// verdictsOf returns what the scheduler saw about a node that refusedBy refused; it is empty if no plugin did.
func verdictsOf(m *decision.Matrix, looked bool, refusedBy string) decision.Verdicts {
	verdicts := make(decision.Verdicts, len(m.Filters))
	for i, filter := range m.Filters {
		switch {
		case !looked:
			return verdicts
		case filter.Plugin == refusedBy:
			reason := slices.IndexFunc(m.Reasons, func(r decision.Reason) bool { return r.Text == "no scratch for "+refusedBy })
			verdicts[i] = decision.Refuse(reason, true)
			return verdicts
		case !filter.Skipped:
			verdicts[i] = decision.Pass(true)
		}
	}
	return verdicts
}
