// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"math"
	"sort"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Rule identifies the comparison that placed one Pod before another in the order of deletion.
type Rule string

// The rules, in the order in which they are applied.
const (
	RuleAll        Rule = "All"
	RuleUnassigned Rule = "Unassigned"
	RulePhase      Rule = "Phase"
	RuleNotReady   Rule = "NotReady"
	RuleCost       Rule = "Cost"
	RuleCrowded    Rule = "Crowded"
	RuleReadyTime  Rule = "ReadyTime"
	RuleRestarts   Rule = "Restarts"
	RuleAge        Rule = "Age"
	RuleNone       Rule = "None"
)

var ruleDescriptions = map[Rule]string{
	RuleAll:        "every Pod goes",
	RuleUnassigned: "not assigned to a node",
	RulePhase:      "earlier phase (Pending, Unknown, Running)",
	RuleNotReady:   "not ready",
	RuleCost:       "lower " + corev1.PodDeletionCost,
	RuleCrowded:    "more related Pods on its node",
	RuleReadyTime:  "ready for a shorter time",
	RuleRestarts:   "more restarts",
	RuleAge:        "created later",
	RuleNone:       "equal to the next by every rule",
}

// String describes the rule to people. It is empty for the empty rule.
func (r Rule) String() string { return ruleDescriptions[r] }

// Deletion is a Pod to delete and the rule that placed it before the next Pod.
type Deletion struct {
	Pod  *corev1.Pod
	Rule Rule
}

// ranked is a Pod with what the order depends on, computed once.
type ranked struct {
	pod       *corev1.Pod
	related   int
	ready     bool
	cost      int32
	restarts  int
	sidecars  int
	readyTime metav1.Time
}

// PodsToDelete returns the count Pods to delete first. The order is that of ActivePodsWithRanks in controller_utils.go.
// Mirrors getPodsToDelete in replica_set.go, which does not sort the Pods either if all of them go.
func PodsToDelete(active, related []*corev1.Pod, count int, now time.Time) []Deletion {
	if count < len(active) {
		return DeletionOrder(active, related, now)[:count]
	}
	deletions := make([]Deletion, 0, len(active))
	for _, pod := range active {
		deletions = append(deletions, Deletion{Pod: pod, Rule: RuleAll})
	}
	return deletions
}

// DeletionOrder returns all Pods in the order in which they would be deleted, each with the rule that places it before
// the next. The last Pod has no rule.
func DeletionOrder(active, related []*corev1.Pod, now time.Time) []Deletion {
	order := rank(active, related)
	sort.Slice(order, func(i, j int) bool {
		less, _ := goesFirst(&order[i], &order[j], now)
		return less
	})
	deletions := make([]Deletion, len(order))
	for i := range order {
		deletions[i].Pod = order[i].pod
		if i+1 < len(order) {
			_, deletions[i].Rule = goesFirst(&order[i], &order[i+1], now)
		}
	}
	return deletions
}

func rank(pods, related []*corev1.Pod) []ranked {
	onNode := map[string]int{}
	for _, pod := range related {
		if IsActive(pod) {
			onNode[pod.Spec.NodeName]++
		}
	}
	order := make([]ranked, 0, len(pods))
	for _, pod := range pods {
		regular, sidecars := maxRestarts(pod)
		order = append(order, ranked{
			pod:       pod,
			related:   onNode[pod.Spec.NodeName],
			ready:     IsReady(pod),
			cost:      deletionCost(pod),
			restarts:  regular,
			sidecars:  sidecars,
			readyTime: readySince(pod),
		})
	}
	return order
}

// goesFirst reports whether a is deleted before b, and which rule decided. Mirrors ActivePodsWithRanks.Less.
func goesFirst(a, b *ranked, now time.Time) (bool, Rule) {
	if unassigned := a.pod.Spec.NodeName == ""; unassigned != (b.pod.Spec.NodeName == "") {
		return unassigned, RuleUnassigned
	}
	if pa, pb := phaseOrder(a.pod), phaseOrder(b.pod); pa != pb {
		return pa < pb, RulePhase
	}
	if a.ready != b.ready {
		return !a.ready, RuleNotReady
	}
	if a.cost != b.cost {
		return a.cost < b.cost, RuleCost
	}
	if a.related != b.related {
		return a.related > b.related, RuleCrowded
	}
	if a.ready && !a.readyTime.Equal(&b.readyTime) {
		return later(a, b, a.readyTime, b.readyTime, now), RuleReadyTime
	}
	if a.restarts != b.restarts {
		return a.restarts > b.restarts, RuleRestarts
	}
	if a.sidecars != b.sidecars {
		return a.sidecars > b.sidecars, RuleRestarts
	}
	if !a.pod.CreationTimestamp.Equal(&b.pod.CreationTimestamp) {
		return later(a, b, a.pod.CreationTimestamp, b.pod.CreationTimestamp, now), RuleAge
	}
	return false, RuleNone
}

// later reports whether a's time is later than b's. It compares ages on a logarithmic scale, so that the order of Pods
// of about the same age is that of their UIDs, which is practically random. A zero time is the latest.
func later(a, b *ranked, timeA, timeB metav1.Time, now time.Time) bool {
	if timeA.IsZero() || timeB.IsZero() {
		return timeA.IsZero()
	}
	if ageA, ageB := logAge(timeA, now), logAge(timeB, now); ageA != ageB {
		return ageA < ageB
	}
	return a.pod.UID < b.pod.UID
}

// logAge returns the integer part of the base-2 logarithm of the age in nanoseconds, or -1 for a time that is not in
// the past.
func logAge(t metav1.Time, now time.Time) int64 {
	age := now.Sub(t.Time)
	if age <= 0 {
		return -1
	}
	return int64(math.Log2(float64(age)))
}

func phaseOrder(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodUnknown:
		return 1
	case corev1.PodRunning:
		return 2
	default:
		return 0
	}
}

// deletionCost returns the value of controller.kubernetes.io/pod-deletion-cost, or 0 if it is absent or not a number
// that the API server would accept. Mirrors GetDeletionCostFromPodAnnotations in pkg/apis/core/helper.
func deletionCost(pod *corev1.Pod) int32 {
	value, ok := pod.Annotations[corev1.PodDeletionCost]
	if !ok || value == "" || value[0] == '+' || (value[0] == '0' && len(value) > 1) {
		return 0
	}
	cost, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return 0
	}
	return int32(cost)
}

// maxRestarts returns the highest restart count among the containers, and among the sidecars (init containers with
// restartPolicy Always). Mirrors maxContainerRestarts in controller_utils.go.
func maxRestarts(pod *corev1.Pod) (regular, sidecars int) {
	for i := range pod.Status.ContainerStatuses {
		regular = max(regular, int(pod.Status.ContainerStatuses[i].RestartCount))
	}
	always := map[string]bool{}
	for i := range pod.Spec.InitContainers {
		policy := pod.Spec.InitContainers[i].RestartPolicy
		always[pod.Spec.InitContainers[i].Name] = policy != nil && *policy == corev1.ContainerRestartPolicyAlways
	}
	for i := range pod.Status.InitContainerStatuses {
		if status := &pod.Status.InitContainerStatuses[i]; always[status.Name] {
			sidecars = max(sidecars, int(status.RestartCount))
		}
	}
	return regular, sidecars
}
