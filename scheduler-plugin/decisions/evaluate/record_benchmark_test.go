// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
)

// BenchmarkRecord1000 makes the matrix of an attempt that looked at 420 of 1,000 nodes, which is the scheduler's
// default share, and evaluates nothing: what each attempt of a burst costs beside its encoding.
func BenchmarkRecord1000(b *testing.B) {
	const nodes, looked, first = 1000, 420, 700
	_, evaluator := upstreams(b)
	observed := &Observed{Pod: st.MakePod().Name("web").Obj()}
	var infos []fwk.NodeInfo
	for i := range nodes {
		info := framework.NewNodeInfo()
		info.SetNode(&corev1.Node{})
		info.Node().Name = fmt.Sprintf("node-%04d", i)
		infos = append(infos, info)
	}
	observed.Names = new(NodeCache).Names(infos)
	for i := range looked {
		name := infos[(first+i)%nodes].Node().Name
		observed.Filtered = append(observed.Filtered, Filtered{Node: name})
		scored := fwk.NodePluginScores{Name: name}
		for _, plugin := range evaluator.columns.scores {
			scored.Scores = append(scored.Scores, fwk.PluginScore{Name: plugin.Name, Score: int64(i%100) * int64(plugin.Weight)})
		}
		observed.Scored = append(observed.Scored, scored)
	}
	b.ReportAllocs()
	for b.Loop() {
		evaluator.Record(b.Context(), observed, false, "a benchmark of what is seen")
	}
}
