// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// dropped bounds a request whose packets nobody answers; one that is let through takes milliseconds.
const dropped = "5s"

var _ = Describe("Network policies", func() {
	It("keep other Pods from the manager's health port, and let them reach its metrics port", func(ctx context.Context) {
		requirePolicyEngine(ctx)
		manager := podsOf(ctx, system, "manager")[0]
		Expect(isReady(manager)).To(BeTrue(), "the kubelet reaches the health port of %s", manager.Name)
		ns := namespace(ctx, nil)

		By("asking the metrics port, which the policy opens")
		open := askThroughPod(ctx, ns, "to-metrics", &manager, "metrics")
		Expect(open.stderr).To(ContainSubstring("(BadRequest)"), "the manager's answer to a request without TLS; it was %q", open.stdout)

		By("asking the health port, which it does not open")
		closed := askThroughPod(ctx, ns, "to-health", &manager, "health")
		Expect(closed.code).NotTo(BeZero(), "the health port of %s answered: %s", manager.Name, closed.stdout)
	})
})

// requirePolicyEngine skips the spec where the kernel cannot enforce network policies. Where it can, an engine must run.
func requirePolicyEngine(ctx context.Context) {
	GinkgoHelper()
	facts := &corev1.ConfigMap{}
	Expect(k8s.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "podtrail-cluster"}, facts)).To(Succeed(), "what make cluster-up found out")
	if queue := facts.Data["kernelNftablesQueue"]; queue != "yes" {
		Skip("no network policy engine can work here: this kernel's nftables has no `queue` (" + queue + ")")
	}
	for _, name := range []string{"kindnet", "kube-network-policies"} {
		engine := &appsv1.DaemonSet{}
		err := k8s.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: name}, engine)
		if apierrors.IsNotFound(err) {
			continue
		}
		Expect(err).NotTo(HaveOccurred())
		Expect(engine.Status.NumberReady).To(Equal(engine.Status.DesiredNumberScheduled), "ready Pods of DaemonSet %s", name)
		return
	}
	Fail("the kernel could enforce network policies, but neither DaemonSet kindnet nor kube-network-policies is in kube-system")
}

// askThroughPod makes a Pod that forwards to a named port of the target, and asks that port through it.
func askThroughPod(ctx context.Context, namespace, name string, target *corev1.Pod, port string) result {
	GinkgoHelper()
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = namespace, name
	pod.Spec = appSpec("proxy", "--listen=:8080", "--target="+net.JoinHostPort(target.Status.PodIP, decimal(portOf(target, port))))
	createUntilReady(ctx, pod)
	path := "/api/v1/namespaces/" + namespace + "/pods/" + name + ":8080/proxy/"
	kubectl("get", "--raw", path+"podtrail/healthz").succeeds() // the forwarder's own answer
	return kubectl("get", "--raw", path+"healthz", "--request-timeout="+dropped)
}

// portOf is the number of a port that one of the Pod's containers names.
func portOf(pod *corev1.Pod, name string) int32 {
	GinkgoHelper()
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name {
				return port.ContainerPort
			}
		}
	}
	Fail(fmt.Sprintf("Pod %s has no port %q", pod.Name, name))
	return 0
}
