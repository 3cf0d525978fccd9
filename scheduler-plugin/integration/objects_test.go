// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// makeNode creates a ready node that lives as long as the test. It returns when the scheduler has seen it complete.
func makeNode(t *testing.T, c client.Client, seen corev1listers.NodeLister, name, zone string, images []corev1.ContainerImage) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if zone != "" {
		node.Labels = map[string]string{corev1.LabelTopologyZone: zone}
	}
	node.Status = corev1.NodeStatus{Images: images, Allocatable: corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("4"),
		corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods:   resource.MustParse("110"),
	}}
	createNode(t, c, node)
	waitUntilSeen(t, seen, node)
}

// createNode creates a node with its status, ready, for as long as the test.
func createNode(t *testing.T, c client.Client, node *corev1.Node) {
	t.Helper()
	status := *node.Status.DeepCopy()
	if err := c.Create(t.Context(), node); err != nil {
		t.Fatalf("Creating node %s: %v", node.Name, err)
	}
	removeAfter(t, c, node)
	status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	node.Status = status
	if err := c.Status().Update(t.Context(), node); err != nil {
		t.Fatalf("Setting the status of node %s: %v", node.Name, err)
	}
}

func waitUntilSeen(t *testing.T, seen corev1listers.NodeLister, node *corev1.Node) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, bindTimeout, true, func(context.Context) (bool, error) {
		got, err := seen.Get(node.Name)
		return err == nil && got.ResourceVersion == node.ResourceVersion, client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Fatalf("Waiting %s for the scheduler to see node %s: %v", bindTimeout, node.Name, err)
	}
}

// makePod creates a Pod of the image shop:v1, with a controller unless owner is empty, and returns its name.
func makePod(t *testing.T, c client.Client, name, scheduler, owner string) string {
	t.Helper()
	createPod(t, c, newPod(name, scheduler, owner))
	return name
}

// newPod returns a Pod of the image shop:v1, with a controller unless owner is empty.
func newPod(name, scheduler, owner string) *corev1.Pod {
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
	return pod
}

// createPod creates a Pod for as long as the test.
func createPod(t *testing.T, c client.Client, pod *corev1.Pod) {
	t.Helper()
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatalf("Creating Pod %s: %v", pod.Name, err)
	}
	removeAfter(t, c, pod)
}

// removeAfter deletes an object when the test is over, so that tests do not see each other's nodes.
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
