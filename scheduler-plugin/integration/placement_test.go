// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
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
		// The larger zone would get two Pods of three if only nodes counted.
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
