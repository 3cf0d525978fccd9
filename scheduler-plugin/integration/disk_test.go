// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/component-base/metrics/legacyregistry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	afterFlush = "scheduler_pod_scheduled_after_flush_total"
	attempts   = "scheduler_schedule_attempts_total"
	// bigImage is listed by one node that no Pod of these tests may go to.
	bigImage = "registry.example/big:v1"
)

// TestDiskRoom has nodes whose disks are too small for an image of 4 GiB.
func TestDiskRoom(t *testing.T) {
	c := newClient(t)
	seen := startScheduler(t)
	holder := diskNode("big-image-holder", "100Gi", "away")
	holder.Status.Images = []corev1.ContainerImage{{Names: []string{bigImage}, SizeBytes: 4 << 30}}
	createNode(t, c, holder)
	waitUntilSeen(t, seen, holder)

	t.Run("a node is refused with both figures, and only what makes room wakes the Pod", func(t *testing.T) {
		small := diskNode("small", "3Gi", "here")
		createNode(t, c, small)
		waitUntilSeen(t, seen, small)
		// Before the neighbour, whose attempt is counted only after its Binding can be seen.
		before := counters(t)
		neighbour := diskPod("neighbour", "0", "here")
		neighbour.Spec.Containers[0].Image = "registry.example/unheard-of:v1"
		createPod(t, c, neighbour)
		waitForNode(t, c, neighbour.Name)
		pod := diskPod("big", "1Gi", "here")
		createPod(t, c, pod)
		wantMessage := "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, " +
			"1 node(s) had 2.0Gi of disk left for 4.0Gi of images to pull."
		if message := waitForRefusal(t, c, pod.Name); !strings.HasPrefix(message, wantMessage) {
			t.Errorf("Got %q, want it to begin with %q", message, wantMessage)
		}

		// None of this makes room. A taint is not among it: NodeAffinity, which refused the other node, has no hint for that
		// event, so upstream wakes the Pod (buildQueueingHintMap).
		if err := c.Delete(t.Context(), neighbour); err != nil {
			t.Fatalf("Deleting a Pod that requests no storage: %v", err)
		}
		update(t, c, small, func() { small.Labels["irrelevant"] = "label" })
		updateStatus(t, c, small, func() { setDisk(small, "4Gi") })
		updateStatus(t, c, small, func() {
			small.Status.Images = []corev1.ContainerImage{{Names: []string{"registry.example/other:v1"}, SizeBytes: 1}}
		})
		waitUntilSeen(t, seen, small)
		// This does.
		updateStatus(t, c, small, func() { setDisk(small, "5Gi") })
		waitForNode(t, c, pod.Name)

		const neighbourAndPod = 2
		assertAttempts(t, before, map[string]float64{"unschedulable": 1, "scheduled": neighbourAndPod, "error": 0})
	})

	t.Run("a new node with room wakes the Pod", func(t *testing.T) {
		before := counters(t)
		createNode(t, c, diskNode("tiny", "1Gi", "new"))
		pod := diskPod("newcomer", "0", "new")
		createPod(t, c, pod)
		waitForRefusal(t, c, pod.Name)
		createNode(t, c, diskNode("large", "10Gi", "new"))
		if node := waitForNode(t, c, pod.Name); node != "large" {
			t.Errorf("The Pod is on %s, want the new node", node)
		}
		// How many attempts there were depends on when the node's status was seen: it comes after the node.
		assertFlushedNone(t, before)
	})

	t.Run("a Pod that leaves makes room", func(t *testing.T) {
		before := counters(t)
		shared := diskNode("shared", "6Gi", "shared")
		createNode(t, c, shared)
		waitUntilSeen(t, seen, shared)
		tenant := diskPod("tenant", "3Gi", "shared")
		tenant.Spec.Containers[0].Image = "registry.example/unheard-of:v1"
		createPod(t, c, tenant)
		waitForNode(t, c, tenant.Name)
		pod := diskPod("next", "0", "shared")
		createPod(t, c, pod)
		waitForRefusal(t, c, pod.Name)
		if err := c.Delete(t.Context(), tenant); err != nil {
			t.Fatalf("Deleting the tenant: %v", err)
		}
		waitForNode(t, c, pod.Name)
		assertAttempts(t, before, map[string]float64{"unschedulable": 1, "scheduled": 2, "error": 0})
	})

	t.Run("preemption makes room for images", func(t *testing.T) {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "important"}, Value: 1000}
		if err := c.Create(t.Context(), class); err != nil {
			t.Fatalf("Creating PriorityClass %s: %v", class.Name, err)
		}
		removeAfter(t, c, class)
		contended := diskNode("contended", "5632Mi", "contended")
		createNode(t, c, contended)
		waitUntilSeen(t, seen, contended)
		for _, victim := range []string{"stays", "goes"} {
			pod := diskPod(victim, map[string]string{"stays": "1Gi", "goes": "2Gi"}[victim], "contended")
			pod.Spec.Containers[0].Image = "registry.example/unheard-of:v1"
			createPod(t, c, pod)
			waitForNode(t, c, victim)
		}
		pod := diskPod("important", "0", "contended")
		pod.Spec.PriorityClassName = class.Name
		createPod(t, c, pod)
		waitForNode(t, c, pod.Name)
		for victim, wantGone := range map[string]bool{"stays": false, "goes": true} {
			err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: victim}, &corev1.Pod{})
			if gone := apierrors.IsNotFound(err); gone != wantGone {
				t.Errorf("Pod %s is gone: %t (%v), want %t: one victim of 2Gi makes enough room", victim, gone, err, wantGone)
			}
		}
	})
}

// diskNode returns a node with that much disk, which Pods of the same pool choose.
func diskNode(name, disk, pool string) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": pool}}}
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("4"),
		corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods:   resource.MustParse("110"),
	}
	setDisk(node, disk)
	return node
}

func setDisk(node *corev1.Node, disk string) {
	node.Status.Allocatable[corev1.ResourceEphemeralStorage] = resource.MustParse(disk)
}

// diskPod returns a Pod of bigImage that requests that much ephemeral-storage.
func diskPod(name, storage, pool string) *corev1.Pod {
	pod := newPod(name, schedulerName, "")
	pod.Spec.NodeSelector = map[string]string{"pool": pool}
	pod.Spec.Containers[0].Image = bigImage
	pod.Spec.Containers[0].Resources.Requests[corev1.ResourceEphemeralStorage] = resource.MustParse(storage)
	return pod
}

func update(t *testing.T, c client.Client, node *corev1.Node, change func()) {
	t.Helper()
	change()
	if err := c.Update(t.Context(), node); err != nil {
		t.Fatalf("Updating node %s: %v", node.Name, err)
	}
}

func updateStatus(t *testing.T, c client.Client, node *corev1.Node, change func()) {
	t.Helper()
	change()
	if err := c.Status().Update(t.Context(), node); err != nil {
		t.Fatalf("Updating the status of node %s: %v", node.Name, err)
	}
}

// waitForRefusal returns what the scheduler has written into the Pod's status.
func waitForRefusal(t *testing.T, c client.Client, name string) string {
	t.Helper()
	var message string
	pod := &corev1.Pod{}
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, bindTimeout, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod)
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
				message = condition.Message
			}
		}
		return message != "", err
	})
	if err != nil {
		t.Fatalf("Waiting %s for Pod %s to be refused: %v", bindTimeout, name, err)
	}
	return message
}

// counters reads the scheduler's counters, by name or result.
func counters(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatalf("Reading the metrics: %v", err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			switch family.GetName() {
			case afterFlush:
				values[afterFlush] = metric.GetCounter().GetValue()
			case attempts:
				for _, label := range metric.GetLabel() {
					if label.GetName() == "result" {
						values[label.GetValue()] += metric.GetCounter().GetValue()
					}
				}
			}
		}
	}
	if _, found := values[afterFlush]; !found {
		t.Fatalf("The scheduler has no metric %s", afterFlush)
	}
	return values
}

// assertAttempts checks how often Pods were tried since then. The last attempt is counted after its binding, so there
// is a short wait for it.
func assertAttempts(t *testing.T, before, want map[string]float64) {
	t.Helper()
	var got map[string]float64
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, 5*time.Second, true, func(context.Context) (bool, error) {
		now := counters(t)
		got = map[string]float64{}
		for result := range want {
			got[result] = now[result] - before[result]
		}
		return cmp.Equal(want, got), nil
	})
	if err != nil {
		t.Errorf("Attempts by result (-want +got):\n%s", cmp.Diff(want, got))
	}
	assertFlushedNone(t, before)
}

func assertFlushedNone(t *testing.T, before map[string]float64) {
	t.Helper()
	if flushed := counters(t)[afterFlush] - before[afterFlush]; flushed > 0 {
		t.Errorf("%v Pods were scheduled because they had waited for long, not because of an event", flushed)
	}
}
