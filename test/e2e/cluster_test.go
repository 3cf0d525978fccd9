// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("The cluster", func() {
	It("has a control plane and a worker in each of two zones", func(ctx context.Context) {
		var nodes corev1.NodeList
		Expect(k8s.List(ctx, &nodes)).To(Succeed())
		zones := map[string]int{}
		for _, node := range nodes.Items {
			zones[node.Labels[corev1.LabelTopologyZone]]++
		}
		Expect(zones).To(Equal(map[string]int{"": 1, "zone-a": 1, "zone-b": 1}))
	})

	It("records audit events and traces every request", func(ctx context.Context) {
		var pods corev1.PodList
		Expect(k8s.List(ctx, &pods, client.InNamespace("kube-system"), client.MatchingLabels{"component": "kube-apiserver"})).To(Succeed())
		Expect(pods.Items).To(HaveLen(1))
		command := strings.Join(pods.Items[0].Spec.Containers[0].Command, " ")
		Expect(command).To(And(ContainSubstring("--audit-policy-file="), ContainSubstring("--tracing-config-file=")))
	})

	It("really pulls images from the local registry", func() {
		Expect(kubectl("get", "events", "-n", demo, "--field-selector=reason=Pulled").succeeds()).
			To(MatchRegexp(`Successfully pulled image "localhost:5001/podtrail/sampleapp\S*" in \d`))
	})

	It("joins the Pods of different nodes", func(ctx context.Context) {
		// The API server proxies from the control plane to a Pod on a worker.
		for _, pod := range pods(ctx, demo, "nginx") {
			Expect(kubectl("get", "--raw", "/api/v1/namespaces/"+demo+"/pods/"+pod.Name+":8080/proxy/healthz/ready").code).To(BeZero())
		}
	})
})
