// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/controller"

	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/test/wrappers"
)

var (
	seed   = flag.Uint64("seed", 0, "seed of the random Pods; 0 takes one from the clock")
	rounds = flag.Int("rounds", 2000, "how many random sets of Pods to order")
)

// TestDeletionOrder orders random Pods by upstream's ActivePodsWithRanks and by ours, and compares which Pods are
// chosen and in which order. The Pods are drawn from few values, so that every rule comes to decide.
func TestDeletionOrder(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	decided := map[replicas.Rule]int{}
	for round := range *rounds {
		pods := randomPods(random, 2+random.IntN(30), now)
		related := append(randomPods(random, random.IntN(10), now), pods...)
		count := 1 + random.IntN(len(pods)-1)

		want := names(upstreamOrder(pods, related, now)[:count])
		var got []string
		for _, deletion := range replicas.PodsToDelete(pods, related, count, now) {
			got = append(got, deletion.Pod.Name)
			decided[deletion.Rule]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("With -seed=%d, round %d, the order differs from upstream's (-want +got):\n%s", *seed, round, diff)
		}
	}
	for _, rule := range []replicas.Rule{
		replicas.RuleUnassigned, replicas.RulePhase, replicas.RuleNotReady, replicas.RuleCost, replicas.RuleCrowded,
		replicas.RuleReadyTime, replicas.RuleRestarts, replicas.RuleAge,
	} {
		if decided[rule] == 0 {
			t.Errorf("With -seed=%d, no Pod was placed by the rule %q, so it was not compared", *seed, rule)
		}
	}
}

// upstreamOrder does what getPodsToDelete in pkg/controller/replicaset does, whose parts are not exported.
func upstreamOrder(pods, related []*corev1.Pod, now time.Time) []*corev1.Pod {
	onNode := map[string]int{}
	for _, pod := range related {
		if controller.IsPodActive(pod) {
			onNode[pod.Spec.NodeName]++
		}
	}
	order := controller.ActivePodsWithRanks{
		Pods: append([]*corev1.Pod(nil), pods...), Rank: make([]int, len(pods)), Now: metav1.NewTime(now),
	}
	for i, pod := range pods {
		order.Rank[i] = onNode[pod.Spec.NodeName]
	}
	sort.Sort(order)
	return order.Pods
}

func names(pods []*corev1.Pod) []string {
	var names []string
	for _, pod := range pods {
		names = append(names, pod.Name)
	}
	return names
}

func randomPods(random *rand.Rand, count int, now time.Time) []*corev1.Pod {
	pods := make([]*corev1.Pod, 0, count)
	for i := range count {
		w := wrappers.MakePod("ns", fmt.Sprintf("pod-%d-%08x", i, random.Uint32())).
			UID(fmt.Sprintf("%08x", random.Uint32())).
			Node(pick(random, "node-a", "node-a", "node-b", "")).
			Created(randomTime(random, now))
		if ready := random.IntN(4); ready > 0 {
			w.Ready(randomTime(random, now))
		}
		w.Phase(pick(random, corev1.PodRunning, corev1.PodRunning, corev1.PodRunning, corev1.PodPending, corev1.PodUnknown, ""))
		if random.IntN(3) == 0 {
			w.Annotation(corev1.PodDeletionCost, pick(random, "-5", "0", "5", "2147483647", "2147483648", "+1", "01", "x", ""))
		}
		w.Restarts("app", int32(random.IntN(2)))
		if random.IntN(2) == 0 {
			w.SidecarRestarts("side", int32(random.IntN(3)))
		}
		pods = append(pods, w.Obj())
	}
	return pods
}

// randomTime is no time, one in the future, or one of a few ages that share logarithmic buckets.
func randomTime(random *rand.Rand, now time.Time) time.Time {
	age := pick(random, 0, -time.Minute, time.Second, time.Minute, time.Minute+time.Second, time.Hour, 26*time.Hour)
	if random.IntN(10) == 0 {
		return time.Time{}
	}
	return now.Add(-age)
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }
