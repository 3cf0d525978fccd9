// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/scheduler-plugin/decisions"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/source"
)

const (
	recorded   = "recorded"
	unrecorded = "unrecorded"
)

func TestDecisions(t *testing.T) {
	c := newClient(t)
	create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: recorded, Labels: map[string]string{decisions.NamespaceLabelKey: decisions.NamespaceLabelValue},
	}})
	create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: unrecorded}})
	nodes := startScheduler(t)

	t.Run("a different reason on each of 20 nodes, all named", func(t *testing.T) { testReasons(t, c, nodes) })
	t.Run("what wakes a Pod, and what was decided then", func(t *testing.T) { testMove(t, c, nodes) })
	t.Run("the scores, and that they come out again", func(t *testing.T) { testScores(t, c, nodes) })
	t.Run("preemption with its victims", func(t *testing.T) { testPreemption(t, c, nodes) })
	t.Run("a hold keeps one Pod, and no other, until it is taken away", func(t *testing.T) { testHold(t, c, nodes) })
	t.Run("Pods that do not ask leave no record", func(t *testing.T) { testUnrecorded(t, c, nodes) })
}

// testReasons gives each node a lack of its own: three are refused by another plugin each, the others lack another
// subset of five resources.
func testReasons(t *testing.T, c client.Client, seen corev1listers.NodeLister) {
	const all = 20
	lacks := func(i int) corev1.ResourceList {
		list := corev1.ResourceList{}
		for bit := range 5 {
			if i>>bit&1 == 0 {
				list[lesson(bit)] = resource.MustParse("1")
			}
		}
		return list
	}
	for i := 1; i <= all; i++ {
		var change func(*corev1.Node)
		allocatable := lacks(i)
		if i > all-3 {
			allocatable = lacks(0)
		}
		switch i {
		case all - 2:
			change = func(n *corev1.Node) { n.Spec.Unschedulable = true }
		case all - 1:
			change = func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: "for", Value: "others", Effect: corev1.TaintEffectNoSchedule}}
			}
		case all:
			change = func(n *corev1.Node) { n.Labels = map[string]string{"disk": "none"} }
		}
		makeNodeWith(t, c, seen, fmt.Sprintf("reason-%02d", i), allocatable, change)
	}
	pod := podIn(recorded, "picky")
	pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpDoesNotExist}},
		}}},
	}}
	pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{}
	for bit := range 5 {
		pod.Spec.Containers[0].Resources.Requests[lesson(bit)] = resource.MustParse("1")
		pod.Spec.Containers[0].Resources.Limits[lesson(bit)] = resource.MustParse("1")
	}
	createPod(t, c, pod)

	a := waitForAttempt(t, pod, func(a *decision.Attempted) bool { return a.Outcome == decision.Unschedulable })
	byNode := map[string]string{}
	for node, verdicts := range perNode(a) {
		for i, v := range verdicts {
			if v.Refused() && v.Seen {
				byNode[node] += a.Matrix.Filters[i].Plugin + ": " + a.Matrix.Reasons[v.Reason].Text
			}
		}
	}
	if len(byNode) != all {
		t.Errorf("%d nodes have a reason, want all %d: %v", len(byNode), all, byNode)
	}
	reasons := map[string]string{}
	for node, reason := range byNode {
		if other, twice := reasons[reason]; twice {
			t.Errorf("Nodes %s and %s are both refused by %q, want a reason of its own for each", node, other, reason)
		}
		reasons[reason] = node
	}
	for node, want := range map[string]string{
		"reason-01": "NodeResourcesFit: Insufficient podtrail.dev/lesson-0",
		"reason-18": "NodeUnschedulable: node(s) were unschedulable",
	} {
		if byNode[node] != want {
			t.Errorf("Node %s: %q, want %q", node, byNode[node], want)
		}
	}
	if !a.Evaluation.Done || a.Evaluation.Differences != 0 {
		t.Errorf("Evaluation %+v, want it done and as seen", a.Evaluation)
	}
	if want := []string{"NodeAffinity", "NodeResourcesFit", "NodeUnschedulable", "TaintToleration"}; !slices.Equal(a.Rejectors, want) {
		t.Errorf("Rejectors %v, want %v", a.Rejectors, want)
	}
}

func lesson(i int) corev1.ResourceName {
	return corev1.ResourceName(fmt.Sprintf("podtrail.dev/lesson-%d", i))
}

func testMove(t *testing.T, c client.Client, seen corev1listers.NodeLister) {
	taint := corev1.Taint{Key: "away", Effect: corev1.TaintEffectNoSchedule}
	makeNodeWith(t, c, seen, "tainted", nil, func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{taint} })
	makeNodeWith(t, c, seen, "cordoned", nil, func(n *corev1.Node) { n.Spec.Unschedulable = true })
	pod := podIn(recorded, "waiter")
	createPod(t, c, pod)
	waitForAttempt(t, pod, func(a *decision.Attempted) bool { return a.Outcome == decision.Unschedulable })

	node := &corev1.Node{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: "tainted"}, node); err != nil {
		t.Fatalf("Reading the node: %v", err)
	}
	node.Spec.Taints = nil
	if err := c.Update(t.Context(), node); err != nil {
		t.Fatalf("Taking the taint away: %v", err)
	}
	a := waitForAttempt(t, pod, bound)
	if a.Number != 2 || a.Woken == nil {
		t.Fatalf("Attempt %d, woken by %+v, want the second, woken", a.Number, a.Woken)
	}
	want := decision.Move{Event: "NodeUpdateNodeTaint", Object: "Node tainted", Plugins: []string{"TaintToleration"}, Evaluated: true}
	if diff := cmp.Diff(want, a.Woken.Move); diff != "" {
		t.Errorf("What woke it (-want +got):\n%s", diff)
	}
	if a.Node != "tainted" || a.Matrix.ScoresSeen || len(a.Matrix.Scores) == 0 {
		t.Errorf("Node %q, scores seen %v, %d score plugins: want the only one left, with scores evaluated afterwards",
			a.Node, a.Matrix.ScoresSeen, len(a.Matrix.Scores))
	}
	var steps []string
	for _, step := range slices.Concat(a.Steps, a.Binding.Steps) {
		steps = append(steps, step.Name)
	}
	if diff := cmp.Diff([]string{"PreFilter", "Filter", "Reserve", "Permit", "WaitOnPermit", "PreBind", "Bind", "PostBind"}, steps); diff != "" {
		t.Errorf("Steps (-want +got):\n%s", diff)
	}
}

func testScores(t *testing.T, c client.Client, seen corev1listers.NodeLister) {
	for i := range 3 {
		makeNodeWith(t, c, seen, fmt.Sprintf("score-%d", i), corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(int64(2+i), resource.DecimalSI)}, nil)
	}
	pod := podIn(recorded, "scored")
	createPod(t, c, pod)
	a := waitForAttempt(t, pod, bound)
	if !a.Matrix.ScoresSeen || len(a.Matrix.Scored) != 3 {
		t.Fatalf("%d nodes scored, seen %v: want three, seen", len(a.Matrix.Scored), a.Matrix.ScoresSeen)
	}
	if !a.Evaluation.Done || a.Evaluation.Differences != 0 {
		t.Errorf("Evaluation %+v, want it done and as seen", a.Evaluation)
	}
	for _, score := range a.Matrix.Scores {
		if len(score.Raw) != 3 {
			t.Errorf("Plugin %s has %d raw scores, want three", score.Plugin, len(score.Raw))
		}
	}
	ranked := decision.Ranking(&a.Matrix)
	if best := a.Matrix.Nodes[ranked[0].Node]; best != a.Node {
		t.Errorf("Node %s was chosen, but %s has the most points: %v", a.Node, best, ranked)
	}
}

func testPreemption(t *testing.T, c client.Client, seen corev1listers.NodeLister) {
	for name, value := range map[string]int32{"low": 1, "high": 1000} {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
		create(t, c, class)
		removeAfter(t, c, class)
	}
	makeNodeWith(t, c, seen, "full", corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}, nil)
	low := podIn(recorded, "low")
	low.Spec.PriorityClassName = "low"
	low.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("900m")
	createPod(t, c, low)
	waitForAttempt(t, low, bound)
	high := podIn(recorded, "high")
	high.Spec.PriorityClassName = "high"
	high.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("800m")
	createPod(t, c, high)

	a := waitForAttempt(t, high, bound)
	// The executor returns after the victim is gone, and the preemptor can be faster.
	first := waitForAttempt(t, high, func(a *decision.Attempted) bool { return len(a.Victims) > 0 })
	if first.Preemption == nil || first.Preemption.Node != "full" {
		t.Fatalf("Preemption of the first attempt: %+v, want node full nominated", first.Preemption)
	}
	want := []decision.Victim{{Pod: decision.Pod{Namespace: recorded, Name: "low", UID: string(low.UID)}, Node: "full"}}
	if diff := cmp.Diff(want, first.Victims); diff != "" {
		t.Errorf("Victims (-want +got):\n%s", diff)
	}
	if a.Nominated != "full" || a.Woken == nil {
		t.Errorf("Last attempt: nominated %q, woken by %+v; want node full and an event", a.Nominated, a.Woken)
	}
}

func testHold(t *testing.T, c client.Client, seen corev1listers.NodeLister) {
	makeNodeWith(t, c, seen, "holding", nil, nil)
	held := podIn(recorded, "held")
	held.Annotations = map[string]string{decisions.HoldAnnotationKey: decisions.HoldAtPermit}
	createPod(t, c, held)
	a := waitForAttempt(t, held, func(a *decision.Attempted) bool { return a.Hold != nil })
	if left := time.Until(a.Hold.Until); left < 4*time.Minute || left > 5*time.Minute || a.Binding != nil {
		t.Errorf("Held until %s, in %s, binding %+v: want about the 300 s of the configuration, and no binding", a.Hold.Until, left, a.Binding)
	}
	other := podIn(recorded, "other")
	createPod(t, c, other)
	waitForAttempt(t, other, bound)
	if node := nodeOf(t, c, held); node != "" {
		t.Errorf("The held Pod is on %q while it is held", node)
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+decisions.HoldAnnotationKey+`":null}}}`))
	if err := c.Patch(t.Context(), held.DeepCopy(), patch); err != nil {
		t.Fatalf("Taking the annotation away: %v", err)
	}
	a = waitForAttempt(t, held, bound)
	if a.Number != 1 {
		t.Errorf("Bound in attempt %d, want the one that was held", a.Number)
	}
	if node := nodeOf(t, c, held); node != "holding" {
		t.Errorf("The Pod is on %q, want holding", node)
	}
	wrong := podIn(recorded, "wrong-hold")
	wrong.Annotations = map[string]string{decisions.HoldAnnotationKey: "bind"}
	createPod(t, c, wrong)
	a = waitForAttempt(t, wrong, bound)
	if want := `annotation podtrail.dev/hold-at is "bind", want "permit": the Pod is not held`; a.Hold == nil || a.Hold.Problem != want {
		t.Errorf("Hold %+v, want the problem %q", a.Hold, want)
	}
}

func testUnrecorded(t *testing.T, c client.Client, seen corev1listers.NodeLister) {
	makeNodeWith(t, c, seen, "quiet", nil, nil)
	quiet, recordedPod := podIn(unrecorded, "quiet"), podIn(recorded, "recorded")
	createPod(t, c, quiet)
	createPod(t, c, recordedPod)
	waitForAttempt(t, recordedPod, bound)
	if h := historyOf(quiet); len(h.Attempts) > 0 {
		t.Errorf("%d attempts are recorded of a Pod whose namespace does not ask", len(h.Attempts))
	}
	if node := nodeOf(t, c, quiet); node != "quiet" {
		t.Errorf("The Pod is on %q, want quiet", node)
	}
}

func bound(a *decision.Attempted) bool {
	return a.Binding != nil && a.Binding.Outcome == decision.Bound
}

// historyOf reads what is recorded of a Pod, as a caller over HTTP would get it.
func historyOf(pod *corev1.Pod) decision.History {
	var records []decision.Record
	for record := range recorder.Records(func(buffer.About) bool { return true }) {
		if d, err := source.DecodeDecision(record); err == nil && d.Pod.UID == string(pod.UID) {
			records = append(records, d)
		}
	}
	if len(records) == 0 {
		return decision.History{}
	}
	return decision.Histories(records)[0]
}

// waitForAttempt returns the first attempt that fits.
func waitForAttempt(t *testing.T, pod *corev1.Pod, fits func(*decision.Attempted) bool) decision.Attempted {
	t.Helper()
	var found decision.Attempted
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, bindTimeout, true, func(context.Context) (bool, error) {
		h := historyOf(pod)
		i := slices.IndexFunc(h.Attempts, func(a decision.Attempted) bool { return fits(&a) })
		if i >= 0 {
			found = h.Attempts[i]
		}
		return i >= 0, nil
	})
	if err != nil {
		t.Fatalf("Waiting %s for an attempt of Pod %s: %v; recorded: %+v; %+v", bindTimeout, pod.Name, err, historyOf(pod), recorder.Status())
	}
	return found
}

func perNode(a decision.Attempted) map[string]decision.Verdicts {
	out := map[string]decision.Verdicts{}
	for _, row := range a.Matrix.Rows {
		for _, node := range row.Nodes {
			out[a.Matrix.Nodes[node]] = row.Verdicts
		}
	}
	return out
}

func nodeOf(t *testing.T, c client.Client, pod *corev1.Pod) string {
	t.Helper()
	got := &corev1.Pod{}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(pod), got); err != nil {
		t.Fatalf("Reading Pod %s: %v", pod.Name, err)
	}
	return got.Spec.NodeName
}

// podIn returns a Pod that the deployed profile schedules.
func podIn(namespace, name string) *corev1.Pod {
	pod := newPod(name, schedulerName, "")
	pod.Namespace = namespace
	return pod
}

// makeNodeWith creates a node with further resources and a change, which lives as long as the test.
func makeNodeWith(t *testing.T, c client.Client, seen corev1listers.NodeLister, name string, more corev1.ResourceList, change func(*corev1.Node)) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if change != nil {
		change(node)
	}
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	maps.Copy(node.Status.Allocatable, more)
	createNode(t, c, node)
	waitUntilSeen(t, seen, node)
}
