// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

func BenchmarkPreFilter(b *testing.B) {
	c, known := benchmarkCluster()
	cases := map[string]struct {
		pod      *corev1.Pod
		wantSkip bool
	}{
		"two images on half of the nodes":        {pod: known},
		"an image that none of 1000 nodes lists": {pod: withImages(ownedPod("new", "app-7", ""), "registry.example/unheard-of:v1"), wantSkip: true},
	}
	for name, tc := range cases {
		b.Run(name, func(b *testing.B) {
			pl, nodes := c.plugin(b, "")
			b.ReportAllocs()
			for b.Loop() {
				if _, status := pl.PreFilter(b.Context(), framework.NewCycleState(), tc.pod, nodes); status.IsSkip() != tc.wantSkip {
					b.Fatalf("PreFilter: %v", status)
				}
			}
		})
	}
}

func BenchmarkFilter(b *testing.B) {
	c, pod := benchmarkCluster()
	pl, nodes := c.plugin(b, "")
	state := framework.NewCycleState()
	if _, status := pl.PreFilter(b.Context(), state, pod, nodes); !status.IsSuccess() {
		b.Fatalf("PreFilter: %v", status)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if status := pl.Filter(b.Context(), state, pod, nodes[i%len(nodes)]); !status.IsSuccess() {
			b.Fatalf("Filter: %v", status)
		}
	}
}
