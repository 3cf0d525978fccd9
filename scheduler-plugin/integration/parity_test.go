// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

const (
	parityNodes, parityPods = 100, 500
	// maxDraws bounds how many random Pods are tried until one has a single best node.
	maxDraws = 200
)

// side is a scheduler and the profile of it that is looked at.
type side struct {
	set
	profile string
}

// TestParity compares upstream's scheduler, with nothing of ours linked in and its own configuration, with this one
// where ImageZone scores nothing and finds every disk large enough.
//
// First both evaluate each Pod on the same cluster: each must let the same nodes through and give each the same sum.
// Upstream chooses at random among the best, so Pods are drawn until only one node is the best. Then both run, on the
// same API server one after the other, and must place all Pods as was worked out.
func TestParity(t *testing.T) {
	upstream := side{profile: corev1.DefaultSchedulerName}
	same := side{profile: schedulerName}
	setUpSides := func() {
		upstream.set = setUp(t, writeConfig(t, stockConfig(), kubeconfigAsAdmin()))
		same.set = setUp(t, writeConfig(t, withoutWeight(t), kubeconfigAsAdmin()), ours)
	}
	setUpSides()
	random := rand.New(rand.NewPCG(36, 3))
	nodes := randomNodes(random)
	for _, s := range []side{upstream, same} {
		for _, node := range nodes {
			s.scheduler.Cache.AddNode(klog.Background(), node)
		}
	}
	var pods []*corev1.Pod
	want := map[string]string{}
	ties := 0
	for i := range parityPods {
		for range maxDraws {
			pod := randomPod(random, i)
			sums := upstream.evaluate(t, pod)
			if diff := cmp.Diff(sums, same.evaluate(t, pod)); diff != "" {
				t.Fatalf("Pod %d: sums of the feasible nodes (-upstream +ours):\n%s", i, diff)
			}
			best, single := bestOf(sums)
			if !single {
				ties++
				continue
			}
			pods, want[pod.Name] = append(pods, pod), best
			for _, s := range []side{upstream, same} {
				s.place(t, pod, best)
			}
			break
		}
		if len(pods) != i+1 {
			t.Fatalf("Pod %d: of %d random Pods none has a single best node", i, maxDraws)
		}
	}
	t.Logf("%d Pods evaluated on %d nodes, %d of them with a tie and left out", parityPods+ties, parityNodes, ties)

	c := newClient(t)
	for _, node := range nodes {
		createNode(t, c, node.DeepCopy())
	}
	setUpSides()
	for name, s := range map[string]side{"upstream": upstream, "ours": same} {
		t.Run(name+" places all Pods as worked out", func(t *testing.T) {
			running := run(t, s.set)
			defer running.stop()
			for _, pod := range pods {
				pod = pod.DeepCopy()
				pod.UID, pod.Spec.SchedulerName = "", s.profile
				createPod(t, c, pod)
			}
			got := map[string]string{}
			for _, pod := range pods {
				got[pod.Name] = waitForNode(t, c, pod.Name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Nodes of the Pods (-worked out +placed):\n%s", diff)
			}
		})
	}
}

// stockConfig is upstream's default, but without a Lease, and as fast as ours.
func stockConfig() map[string]any {
	return map[string]any{
		"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
		"leaderElection":   map[string]any{"leaderElect": false},
		"clientConnection": map[string]any{"qps": 500, "burst": 1000},
	}
}

// withoutWeight is the deployed configuration with ImageZone's weights at 0.
func withoutWeight(t *testing.T) map[string]any {
	t.Helper()
	configuration := deployedConfig(t)
	configuration["leaderElection"] = map[string]any{"leaderElect": false}
	profile := configuration["profiles"].([]any)[0].(map[string]any)
	for _, config := range profile["pluginConfig"].([]any) {
		if config := config.(map[string]any); config["name"] == "ImageZone" {
			config["args"] = map[string]any{"imageWeight": 0, "zoneWeight": 0, "diskFilter": true}
			return configuration
		}
	}
	t.Fatal("The first profile of the deployed configuration has no arguments for ImageZone")
	return nil
}

// evaluate returns the sum of each feasible node, as the scheduling cycle does it (schedulePod in
// pkg/scheduler/schedule_one.go).
func (s side) evaluate(t *testing.T, pod *corev1.Pod) map[string]int64 {
	t.Helper()
	profile := s.scheduler.Profiles[s.profile]
	snapshot := profile.SnapshotSharedLister().(*cache.Snapshot)
	if err := s.scheduler.Cache.UpdateSnapshot(klog.Background(), snapshot); err != nil {
		t.Fatalf("Updating the snapshot: %v", err)
	}
	all, err := snapshot.NodeInfos().List()
	if err != nil {
		t.Fatalf("Listing the nodes: %v", err)
	}
	state := framework.NewCycleState()
	if _, status, _ := profile.RunPreFilterPlugins(t.Context(), state, pod); !status.IsSuccess() {
		t.Fatalf("PreFilter: %v", status)
	}
	var feasible []fwk.NodeInfo
	for _, node := range all {
		if profile.RunFilterPlugins(t.Context(), state, pod, node).IsSuccess() {
			feasible = append(feasible, node)
		}
	}
	if status := profile.RunPreScorePlugins(t.Context(), state, pod, feasible); !status.IsSuccess() {
		t.Fatalf("PreScore: %v", status)
	}
	scores, status := profile.RunScorePlugins(t.Context(), state, pod, feasible)
	if !status.IsSuccess() {
		t.Fatalf("Score: %v", status)
	}
	sums := map[string]int64{}
	for _, score := range scores {
		sums[score.Name] = score.TotalScore
	}
	return sums
}

func (s side) place(t *testing.T, pod *corev1.Pod, node string) {
	t.Helper()
	pod = pod.DeepCopy()
	pod.Spec.NodeName = node
	if err := s.scheduler.Cache.AddPod(klog.Background(), pod); err != nil {
		t.Fatalf("Placing Pod %s on %s: %v", pod.Name, node, err)
	}
}

// bestOf returns the node with the highest sum, and whether it is the only one.
func bestOf(sums map[string]int64) (best string, single bool) {
	for node, sum := range sums {
		switch {
		case best == "" || sum > sums[best]:
			best, single = node, true
		case sum == sums[best]:
			single = false
		}
	}
	return best, single
}

func randomNodes(random *rand.Rand) []*corev1.Node {
	var nodes []*corev1.Node
	for i := range parityNodes {
		node := diskNode(fmt.Sprintf("parity-%d", i), "1000Gi", fmt.Sprintf("pool-%d", random.IntN(4)))
		node.Labels[corev1.LabelTopologyZone] = fmt.Sprintf("zone-%d", random.IntN(3))
		node.Status.Allocatable[corev1.ResourceCPU] = *resource.NewMilliQuantity(4000+random.Int64N(28000), resource.DecimalSI)
		node.Status.Allocatable[corev1.ResourceMemory] = *resource.NewQuantity((8<<30)+random.Int64N(56<<30), resource.BinarySI)
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		for image := range 6 {
			if random.IntN(3) == 0 {
				node.Status.Images = append(node.Status.Images, corev1.ContainerImage{
					Names: []string{parityImage(image)}, SizeBytes: int64(100+100*image) << 20,
				})
			}
		}
		if random.IntN(5) == 0 {
			node.Spec.Taints = []corev1.Taint{{Key: "slow", Value: "yes", Effect: corev1.TaintEffectPreferNoSchedule}}
		}
		nodes = append(nodes, node)
	}
	return nodes
}

func parityImage(i int) string { return fmt.Sprintf("registry.example/parity-%d:v1", i) }

// randomPod returns a Pod that gives most of upstream's plugins something to do.
func randomPod(random *rand.Rand, i int) *corev1.Pod {
	pod := newPod(fmt.Sprintf("parity-%d", i), "", fmt.Sprintf("owner-%d", random.IntN(20)))
	pod.UID = types.UID(pod.Name)
	pod.Labels = map[string]string{"app": fmt.Sprintf("app-%d", random.IntN(8))}
	pod.Spec.Containers[0].Image = parityImage(random.IntN(6))
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(50+random.Int64N(900), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity((64<<20)+random.Int64N(1<<30), resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(random.Int64N(1<<30), resource.BinarySI),
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": pod.Labels["app"]}}
	pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
	for pool := range 4 {
		pod.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(
			pod.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution, corev1.PreferredSchedulingTerm{
				Weight: 1 + random.Int32N(100),
				Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: "pool", Operator: corev1.NodeSelectorOpIn, Values: []string{fmt.Sprintf("pool-%d", pool)},
				}}},
			})
	}
	if random.IntN(3) == 0 {
		pod.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
				Weight:          1 + random.Int32N(100),
				PodAffinityTerm: corev1.PodAffinityTerm{LabelSelector: selector, TopologyKey: corev1.LabelTopologyZone},
			}},
		}
	}
	if random.IntN(3) == 0 {
		pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selector,
		}}
	}
	if random.IntN(4) == 0 {
		pod.Spec.NodeSelector = map[string]string{"pool": fmt.Sprintf("pool-%d", random.IntN(4))}
	}
	return pod
}
