// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// benchmarkCluster has 1000 nodes in three zones, each with 50 images, as many as a kubelet reports by default, and 10
// Pods.
func benchmarkCluster() (cluster, *corev1.Pod) {
	c := cluster{}
	for n := range 1000 {
		held := images{}
		for i := range 50 {
			held[fmt.Sprintf("registry.example/image-%d:v1", (n+i)%100)] = 100 * mb
		}
		name := fmt.Sprintf("node-%d", n)
		node := makeDisk(name, 100*1024*mb, held)
		metav1.SetMetaDataLabel(&node.ObjectMeta, corev1.LabelTopologyZone, fmt.Sprintf("zone-%d", n%3))
		c.nodes = append(c.nodes, node)
		for i := range 10 {
			c.pods = append(c.pods, ownedPod(fmt.Sprintf("pod-%d-%d", n, i), fmt.Sprintf("app-%d", i*n%100), name))
		}
	}
	return c, withImages(ownedPod("new", "app-7", ""), "registry.example/image-7:v1", "registry.example/image-8:v1")
}

func BenchmarkPreScore(b *testing.B) {
	c, pod := benchmarkCluster()
	pl, nodes := c.plugin(b, "")
	b.ReportAllocs()
	for b.Loop() {
		if status := pl.PreScore(b.Context(), framework.NewCycleState(), pod, nodes); !status.IsSuccess() {
			b.Fatalf("PreScore: %v", status)
		}
	}
}

func BenchmarkScore(b *testing.B) {
	c, pod := benchmarkCluster()
	pl, nodes := c.plugin(b, "")
	state := framework.NewCycleState()
	if status := pl.PreScore(b.Context(), state, pod, nodes); !status.IsSuccess() {
		b.Fatalf("PreScore: %v", status)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, status := pl.Score(b.Context(), state, pod, nodes[i%len(nodes)]); !status.IsSuccess() {
			b.Fatalf("Score: %v", status)
		}
	}
}
