// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("Admission", func() {
	It("gives each Pod of an opted-in namespace the sidecar and our scheduler", func(ctx context.Context) {
		for _, app := range []string{"nginx", "web"} {
			found := pods(ctx, demo, app)
			Expect(found).NotTo(BeEmpty())
			for _, pod := range found {
				Expect(pod.Spec.SchedulerName).To(Equal("podtrail-scheduler"))
				Expect(pod.Spec.NodeName).NotTo(BeEmpty())
				Expect(pod.Spec.InitContainers).To(ContainElement(HaveField("RestartPolicy", HaveValue(Equal(corev1.ContainerRestartPolicyAlways)))),
					"%s has a native sidecar", pod.Name)
			}
		}
	})

	It("refuses a Pod without a CPU limit there, and names the container and what to add", func() {
		Expect(kubectl("apply", "-f", sample("pod-without-limit.yaml"), "-n", demo).failsWith(1)).To(And(
			ContainSubstring("validate.pods.podtrail.dev"),
			ContainSubstring(`container "app" has no CPU limit`),
			ContainSubstring("limits: {cpu: 100m}"),
		))
	})

	It("leaves that Pod alone in any other namespace", func(ctx context.Context) {
		ns := namespace(ctx, nil)
		kubectl("apply", "-f", sample("pod-without-limit.yaml"), "-n", ns).succeeds()
		var pod corev1.Pod
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: ns, Name: "no-limit"}, &pod)).To(Succeed())
		Expect(pod.Spec.InitContainers).To(BeEmpty())
		Expect(pod.Spec.SchedulerName).To(Equal("default-scheduler"))
	})

	Describe("with the manager scaled to 0", Ordered, Serial, func() {
		BeforeAll(func(ctx context.Context) {
			kubectl("scale", "deployment/podtrail-manager", "-n", system, "--replicas=0").succeeds()
			DeferCleanup(func() {
				kubectl("scale", "deployment/podtrail-manager", "-n", system, "--replicas=2").succeeds()
				kubectl("rollout", "status", "deployment/podtrail-manager", "-n", system, "--timeout=60s").succeeds()
			})
			Eventually(ctx, func() []corev1.Pod { return podsOf(ctx, system, "manager") }, soon, poll).Should(BeEmpty())
		})

		It("refuses Pods of opted-in namespaces, and says which webhook did not answer", func() {
			Expect(apply(demo, podManifest("blocked", "{limits: {cpu: 100m}}")).failsWith(1)).To(And(
				ContainSubstring("failed calling webhook"), ContainSubstring("default.pods.podtrail.dev")))
		})

		It("starts Pods of other namespaces", func(ctx context.Context) {
			ns := namespace(ctx, nil)
			apply(ns, podManifest("free", "{}")).succeeds()
			kubectl("wait", "-n", ns, "pod/free", "--for=condition=Ready", "--timeout=50s").succeeds()
		})

		It("starts Pods of kube-system", func() {
			kubectl("rollout", "restart", "-n", "kube-system", "deployment/coredns").succeeds()
			kubectl("rollout", "status", "-n", "kube-system", "deployment/coredns", "--timeout=55s").succeeds()
		})

		It("starts its own Pods again", func() {
			kubectl("scale", "deployment/podtrail-manager", "-n", system, "--replicas=2").succeeds()
			kubectl("rollout", "status", "deployment/podtrail-manager", "-n", system, "--timeout=55s").succeeds()
		})
	})
})

// podsOf lists the Pods of one of podtrail's parts.
func podsOf(ctx context.Context, namespace, component string) []corev1.Pod {
	GinkgoHelper()
	var list corev1.PodList
	Expect(k8s.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"app.kubernetes.io/component": component})).To(Succeed())
	return list.Items
}
