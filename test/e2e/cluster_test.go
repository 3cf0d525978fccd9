// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("The cluster", func() {
	It("has a control plane and a worker in each of two zones", func(ctx context.Context) {
		zones := map[string]int{}
		for _, node := range nodes(ctx) {
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

	It("traces all that each kubelet does", func(ctx context.Context) {
		for _, node := range nodes(ctx) {
			var inUse struct {
				Kubelet struct {
					Tracing struct {
						Endpoint string `json:"endpoint"`
						Rate     int    `json:"samplingRatePerMillion"`
					} `json:"tracing"`
				} `json:"kubeletconfig"`
			}
			answer := kubectl("get", "--raw", "/api/v1/nodes/"+node.Name+"/proxy/configz").succeeds()
			Expect(json.Unmarshal([]byte(answer), &inUse)).To(Succeed())
			Expect(inUse.Kubelet.Tracing.Endpoint).NotTo(BeEmpty(), "tracing.endpoint of the kubelet on %s", node.Name)
			Expect(inUse.Kubelet.Tracing.Rate).To(Equal(1_000_000), "samples per million of the kubelet on %s", node.Name)
		}
	})

	It("really pulls images from the local registry", func() {
		Expect(kubectl("get", "events", "-n", demo, "--field-selector=reason=Pulled").succeeds()).
			To(MatchRegexp(`Successfully pulled image "localhost:5001/podtrail/sampleapp\S*" in \d`))
	})

	It("joins the Pods of different workers, in both directions", func(ctx context.Context) {
		ns := namespace(ctx, nil)
		var workers []string
		for _, node := range nodes(ctx) {
			if node.Labels[corev1.LabelTopologyZone] != "" {
				workers = append(workers, node.Name)
			}
		}
		Expect(workers).To(HaveLen(2))
		addresses := map[string]string{}
		for _, worker := range workers {
			addresses[worker] = runOn(ctx, ns, "app-on-"+worker, worker)
		}
		for i, from := range workers {
			to := workers[1-i]
			By("asking the app on " + to + " from " + from)
			caller := "caller-on-" + from
			runOn(ctx, ns, caller, from, "proxy", "--listen=:8080", "--target="+addresses[to]+":8080")
			// The API server asks the caller; the caller asks the app from its own node, so the greeting took that way.
			answer := kubectl("get", "--raw", "/api/v1/namespaces/"+ns+"/pods/"+caller+":8080/proxy/").succeeds()
			Expect(answer).To(Equal(fmt.Sprintf("Hello from Pod app-on-%s on node %s\n", to, to)))
		}
	})
})

func nodes(ctx context.Context) []corev1.Node {
	GinkgoHelper()
	var list corev1.NodeList
	Expect(k8s.List(ctx, &list)).To(Succeed())
	return list.Items
}

// runOn runs the sample app on one node, past the scheduler, and returns the Pod's address once it is Ready.
func runOn(ctx context.Context, namespace, name, node string, args ...string) string {
	GinkgoHelper()
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = namespace, name
	pod.Spec = appSpec(args...)
	pod.Spec.NodeName = node
	createUntilReady(ctx, pod)
	return pod.Status.PodIP
}
