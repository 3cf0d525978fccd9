// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/profile"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"podtrail.dev/podtrail/trail/decision"
)

// upstreams returns the framework of upstream's scheduler with its default profile, and an evaluator for it. Nothing is
// scheduled.
func upstreams(t testing.TB) (framework.Framework, *Evaluator) {
	t.Helper()
	ctx := t.Context()
	defaults, err := latest.Default()
	if err != nil {
		t.Fatalf("Reading upstream's defaults: %v", err)
	}
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	recorders := profile.NewRecorderFactory(broadcaster)
	sched, err := scheduler.New(ctx, client, factory, nil, recorders, scheduler.WithProfiles(defaults.Profiles...))
	if err != nil {
		t.Fatalf("Making upstream's scheduler: %v", err)
	}
	inner := sched.Profiles[defaults.Profiles[0].SchedulerName]
	evaluator, err := New(ctx, inner, defaults.Profiles[0], nil)
	if err != nil {
		t.Fatalf("Making the evaluator: %v", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return inner, evaluator
}

// asked is what upstream's framework answers.
type asked struct {
	// Refusals has the first plugin that refuses each node, and why. It has no nodes that pass.
	Refusals map[string]string
	// Scores are the weighted scores of each node that passes, by plugin.
	Scores map[string]map[string]int64
}

func askUpstream(ctx context.Context, t *testing.T, f framework.Framework, pod *corev1.Pod, nodes []fwk.NodeInfo) asked {
	t.Helper()
	out := asked{Refusals: map[string]string{}, Scores: map[string]map[string]int64{}}
	state := framework.NewCycleState()
	result, status, plugins := f.RunPreFilterPlugins(ctx, state, pod)
	var feasible []fwk.NodeInfo
	for _, node := range nodes {
		name := node.Node().Name
		switch {
		case !status.IsSuccess():
			out.Refusals[name] = status.Plugin()
		case !result.AllNodes() && !result.NodeNames.Has(name):
			out.Refusals[name] = strings.Join(plugins.UnsortedList(), ",")
		default:
			if s := f.RunFilterPluginsWithNominatedPods(ctx, state, pod, node); !s.IsSuccess() {
				out.Refusals[name] = s.Plugin() + ": " + strings.Join(s.Reasons(), "; ")
			} else {
				feasible = append(feasible, node)
			}
		}
	}
	if len(feasible) == 0 {
		return out
	}
	if s := f.RunPreScorePlugins(ctx, state, pod, feasible); !s.IsSuccess() {
		t.Fatalf("PreScore: %v", s.AsError())
	}
	scores, s := f.RunScorePlugins(ctx, state, pod, feasible)
	if !s.IsSuccess() {
		t.Fatalf("Score: %v", s.AsError())
	}
	for _, node := range scores {
		out.Scores[node.Name] = map[string]int64{}
		for _, score := range node.Scores {
			out.Scores[node.Name][score.Name] = score.Score
		}
	}
	return out
}

// fromMatrix returns the same from a matrix.
func fromMatrix(m *decision.Matrix) asked {
	out := asked{Refusals: map[string]string{}, Scores: map[string]map[string]int64{}}
	for _, row := range m.Rows {
		first := firstRefusal(m, row)
		for _, node := range row.Nodes {
			if first != "" {
				out.Refusals[m.Nodes[node]] = first
			}
		}
	}
	for column, node := range m.Scored {
		scores := map[string]int64{}
		for _, score := range m.Scores {
			scores[score.Plugin] = score.Normalised[column] * score.Weight
		}
		out.Scores[m.Nodes[node]] = scores
	}
	return out
}

// firstRefusal returns what the scheduler would have seen: an exclusion by PreFilter comes before all filters.
func firstRefusal(m *decision.Matrix, row decision.Row) string {
	first := ""
	for i, v := range row.Verdicts {
		switch {
		case !v.Refused():
		case m.Reasons[v.Reason].Text == strings.Join(excluded.Reasons(), ""):
			return m.Filters[i].Plugin
		case first == "":
			first = m.Filters[i].Plugin + ": " + m.Reasons[v.Reason].Text
		}
	}
	return first
}

// TestAgreement: what is evaluated afterwards is what upstream's own RunFilterPlugins and RunScorePlugins answer.
func TestAgreement(t *testing.T) {
	const clusters = 300
	inner, evaluator := upstreams(t)
	random := rand.New(rand.NewPCG(5, 36))
	var cache NodeCache
	refused, scored := 0, 0
	for range clusters {
		nodes, running := randomCluster(random)
		pod := randomPod(random)
		*inner.SnapshotSharedLister().(*internalcache.Snapshot) = *internalcache.NewSnapshot(running, nodes)
		infos, err := inner.SnapshotSharedLister().NodeInfos().List()
		if err != nil {
			t.Fatalf("Listing the nodes: %v", err)
		}
		want := askUpstream(t.Context(), t, inner, pod, infos)
		observed := &Observed{Pod: pod, Names: cache.Names(infos), Nodes: cache.Copies(infos)}
		if len(want.Scores) > 0 {
			observed.Chosen = "one of them"
		}
		matrix, evaluation := evaluator.Record(t.Context(), observed, true, "")
		if err := matrix.Validate(); err != nil {
			t.Fatalf("The matrix does not fit together: %v", err)
		}
		if !evaluation.Done {
			t.Fatalf("Evaluation was not done: %s", evaluation.Why)
		}
		if diff := cmp.Diff(want, fromMatrix(&matrix)); diff != "" {
			t.Fatalf("Evaluation of Pod %v differs from upstream's answers (-want +got):\n%s", pod.Spec, diff)
		}
		refused += len(want.Refusals)
		scored += len(want.Scores)
	}
	t.Logf("%d clusters: %d refusals and the scores of %d nodes agree", clusters, refused, scored)
	if refused == 0 || scored == 0 {
		t.Errorf("%d refusals, %d scored nodes: the clusters do not try both", refused, scored)
	}
}

var zones = []string{"a", "b", "c"}

func randomCluster(r *rand.Rand) (nodes []*corev1.Node, running []*corev1.Pod) {
	for i := range 4 + r.IntN(12) {
		node := st.MakeNode().Name(fmt.Sprintf("node-%02d", i)).Label("kubernetes.io/hostname", fmt.Sprintf("node-%02d", i)).
			Label(corev1.LabelTopologyZone, zones[r.IntN(3)]).
			Capacity(map[corev1.ResourceName]string{"cpu": fmt.Sprint(1 + r.IntN(4)), "memory": fmt.Sprintf("%dGi", 1+r.IntN(4)), "pods": "20"})
		if r.IntN(3) == 0 {
			node.Label("disk", "ssd")
		}
		if r.IntN(5) == 0 {
			node.Taints([]corev1.Taint{{Key: "for", Value: "others", Effect: corev1.TaintEffectNoSchedule}})
		}
		if r.IntN(5) == 0 {
			node.Taints([]corev1.Taint{{Key: "slow", Effect: corev1.TaintEffectPreferNoSchedule}})
		}
		if r.IntN(3) == 0 {
			node.Images(map[string]int64{"app:v1": int64(50+r.IntN(500)) << 20})
		}
		node.Unschedulable(r.IntN(8) == 0)
		nodes = append(nodes, node.Obj())
		for j := range r.IntN(4) {
			pod := st.MakePod().Name(fmt.Sprintf("pod-%d-%d", i, j)).UID(fmt.Sprintf("pod-%d-%d", i, j)).Namespace("default").
				Node(nodes[i].Name).Label("app", []string{"web", "db"}[r.IntN(2)]).
				Req(map[corev1.ResourceName]string{"cpu": fmt.Sprintf("%dm", 100*(1+r.IntN(8)))})
			if r.IntN(4) == 0 {
				pod.HostPort(8080)
			}
			running = append(running, pod.Obj())
		}
	}
	return nodes, running
}

func randomPod(r *rand.Rand) *corev1.Pod {
	pod := st.MakePod().Name("new").UID("new").Namespace("default").Label("app", "web").
		Container("app:v1").Req(map[corev1.ResourceName]string{"cpu": fmt.Sprintf("%dm", 100*(1+r.IntN(20)))})
	if r.IntN(3) == 0 {
		pod.Toleration("for")
	}
	if r.IntN(3) == 0 {
		pod.NodeAffinityIn("disk", []string{"ssd"}, st.NodeSelectorTypeMatchExpressions)
	}
	if r.IntN(4) == 0 {
		pod.PodAntiAffinityExists("app", "kubernetes.io/hostname", st.PodAntiAffinityWithRequiredReq)
	}
	if r.IntN(4) == 0 {
		pod.PodAffinityExists("app", corev1.LabelTopologyZone, st.PodAffinityWithPreferredReq)
	}
	if r.IntN(3) == 0 {
		pod.SpreadConstraint(1, corev1.LabelTopologyZone, corev1.DoNotSchedule, st.MakeLabelSelector().Label("app", "web").Obj(), nil, nil, nil, nil)
	}
	if r.IntN(4) == 0 {
		pod.HostPort(8080)
	}
	if r.IntN(12) == 0 {
		pod.NodeAffinityIn("metadata.name", []string{"node-00", "node-01"}, st.NodeSelectorTypeMatchFields)
	}
	return pod.Obj()
}
