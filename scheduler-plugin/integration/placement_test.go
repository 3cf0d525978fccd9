// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	namespace = "default"
	// bindTimeout is far above what a binding takes, for slow machines.
	bindTimeout = 30 * time.Second
	pollEvery   = 20 * time.Millisecond
)

func TestPlacement(t *testing.T) {
	c := newClient(t)
	seen := startScheduler(t)

	t.Run("an image present on one node only draws the Pod there", func(t *testing.T) {
		nodes := []string{"plain-1", "holder", "plain-2"}
		for _, name := range nodes {
			images := []corev1.ContainerImage{}
			if name == "holder" {
				images = append(images, corev1.ContainerImage{
					Names: []string{"docker.io/library/shop:v1"}, SizeBytes: 1 << 20,
				})
			}
			makeNode(t, c, seen, name, "", images)
		}
		// Each Pod makes the holder the fuller node for the next.
		for i := range 5 {
			pod := makePod(t, c, fmt.Sprintf("image-%d", i), schedulerName, "")
			if node := waitForNode(t, c, pod); node != "holder" {
				t.Errorf("Pod %s is on %s, want the node that holds its image", pod, node)
			}
		}
	})

	t.Run("two zones fill evenly", func(t *testing.T) {
		// The larger zone would get two Pods of three if nodes alone counted.
		zoneOf := map[string]string{"east-1": "zone-east", "west-1": "zone-west", "west-2": "zone-west"}
		for name, zone := range zoneOf {
			makeNode(t, c, seen, name, zone, nil)
		}
		perZone := map[string]int{}
		for i := range 12 {
			pod := makePod(t, c, fmt.Sprintf("zone-%d", i), schedulerName, "web")
			perZone[zoneOf[waitForNode(t, c, pod)]]++
		}
		if diff := cmp.Diff(map[string]int{"zone-east": 6, "zone-west": 6}, perZone); diff != "" {
			t.Errorf("Pods per zone (-want +got):\n%s", diff)
		}
	})

	t.Run("a Pod of another scheduler is left alone", func(t *testing.T) {
		makeNode(t, c, seen, "free", "", nil)
		foreign := makePod(t, c, "foreign", corev1.DefaultSchedulerName, "")
		own := makePod(t, c, "own", schedulerName, "")
		waitForNode(t, c, own)

		pod := &corev1.Pod{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: foreign}, pod); err != nil {
			t.Fatalf("Reading Pod %s: %v", foreign, err)
		}
		if pod.Spec.NodeName != "" || len(pod.Status.Conditions) > 0 {
			t.Errorf("Pod %s, created before one that is bound, was touched: node %q, conditions %v",
				foreign, pod.Spec.NodeName, pod.Status.Conditions)
		}
	})
}

// makeNode creates a ready node that lives as long as the test. It returns
// when the scheduler has seen it complete.
func makeNode(t *testing.T, c client.Client, seen corev1listers.NodeLister, name, zone string, images []corev1.ContainerImage) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if zone != "" {
		node.Labels = map[string]string{corev1.LabelTopologyZone: zone}
	}
	if err := c.Create(t.Context(), node); err != nil {
		t.Fatalf("Creating node %s: %v", name, err)
	}
	removeAfter(t, c, node)
	node.Status = corev1.NodeStatus{
		Allocatable: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("4"),
			corev1.ResourceMemory: resource.MustParse("8Gi"),
			corev1.ResourcePods:   resource.MustParse("110"),
		},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		Images:     images,
	}
	if err := c.Status().Update(t.Context(), node); err != nil {
		t.Fatalf("Setting the status of node %s: %v", name, err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, bindTimeout, true, func(context.Context) (bool, error) {
		got, err := seen.Get(name)
		return err == nil && got.ResourceVersion == node.ResourceVersion, client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Fatalf("Waiting %s for the scheduler to see node %s: %v", bindTimeout, name, err)
	}
}

// makePod creates a Pod of the image shop:v1, with a controller unless owner
// is empty, and returns its name.
func makePod(t *testing.T, c client.Client, name, scheduler, owner string) string {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			SchedulerName:                 scheduler,
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			Containers: []corev1.Container{{
				Name: "shop", Image: "shop:v1",
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi"),
				}},
			}},
		},
	}
	if owner != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: ptr.To(true),
		}}
	}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatalf("Creating Pod %s: %v", name, err)
	}
	removeAfter(t, c, pod)
	return name
}

// removeAfter deletes an object when the test is over, so that tests do not
// see each other's nodes.
func removeAfter(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), object, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			t.Errorf("Deleting %T %s: %v", object, object.GetName(), err)
		}
	})
}

func waitForNode(t *testing.T, c client.Client, name string) string {
	t.Helper()
	pod := &corev1.Pod{}
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, bindTimeout, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod)
		return pod.Spec.NodeName != "", err
	})
	if err != nil {
		t.Fatalf("Waiting %s for Pod %s to be bound: %v; its conditions: %v", bindTimeout, name, err, pod.Status.Conditions)
	}
	return pod.Spec.NodeName
}
