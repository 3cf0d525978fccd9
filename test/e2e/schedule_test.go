// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// decided are the labels of a namespace whose Pods podtrail's scheduler places and records.
var decided = map[string]string{"podtrail.dev/admission": "enabled", "podtrail.dev/decisions": "enabled"}

const limits = "{limits: {cpu: 50m}}"

// matrix is what a spec reads of podtrail schedule -o json.
type matrix struct {
	Attempts []struct {
		Node, Outcome, Why string
		Nodes              []struct {
			Name    string
			Sum     *int64
			Filters []struct{ Plugin, Verdict, Reason string }
		}
		Changes []struct{ Nodes []string }
	}
}

func scheduleOf(namespace, pod string) matrix {
	GinkgoHelper()
	var m matrix
	r := podtrail("schedule", "pod/"+pod, "-n", namespace, "-o", "json")
	Expect(json.Unmarshal([]byte(r.stdout), &m)).To(Succeed(), "%s\nstdout: %s\nstderr: %s", r.command, r.stdout, r.stderr)
	return m
}

func nodeOfPod(ctx context.Context, namespace, name string) string {
	GinkgoHelper()
	var pod corev1.Pod
	Expect(k8s.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &pod)).To(Succeed())
	return pod.Spec.NodeName
}

var _ = Describe("podtrail schedule", func() {
	It("says why a Pod is on its node, with every node's verdicts", func(ctx context.Context) {
		ns := namespace(ctx, decided)
		apply(ns, podManifest("placed", limits)).succeeds()
		Eventually(nodeOfPod, soon, poll).WithArguments(ctx, ns, "placed").ShouldNot(BeEmpty())
		var nodes corev1.NodeList
		Expect(k8s.List(ctx, &nodes)).To(Succeed())

		var out result
		Eventually(func() int { out = podtrail("schedule", "pod/placed", "-n", ns); return out.code }, soon, poll).Should(BeZero())
		node := nodeOfPod(ctx, ns, "placed")
		Expect(out.stdout).To(HavePrefix("placed → " + node))
		Expect(out.stdout).To(And(ContainSubstring("why "+node+": "), ContainSubstring("SCORE"), ContainSubstring("ImageZone")))
		for line := range strings.Lines(out.stdout) {
			Expect(len([]rune(strings.TrimRight(line, "\n")))).To(BeNumerically("<=", 100), line)
		}
		attempt := scheduleOf(ns, "placed").Attempts[0]
		Expect(attempt.Nodes).To(HaveLen(len(nodes.Items)))
		best := int64(-1)
		for _, one := range attempt.Nodes {
			if one.Sum != nil {
				best = max(best, *one.Sum)
			}
		}
		for _, one := range attempt.Nodes {
			if one.Name == node {
				Expect(one.Sum).To(HaveValue(Equal(best)), "the node has the most points")
			}
		}
	})

	It("says of a Pod that fits nowhere what each node lacks, and ends with 1", func(ctx context.Context) {
		ns := namespace(ctx, decided)
		apply(ns, podManifest("huge", "{requests: {cpu: 900}, limits: {cpu: 900}}")).succeeds()
		var out result
		Eventually(func() int { out = podtrail("schedule", "pod/huge", "-n", ns); return out.code }, soon, poll).Should(Equal(1))
		Expect(out.stdout).To(And(HavePrefix("huge is on no node"), ContainSubstring("Insufficient cpu"), ContainSubstring("the cheapest change first")))
		Expect(scheduleOf(ns, "huge").Attempts[0].Changes).NotTo(BeEmpty())
	})

	It("holds a Pod in Permit until podtrail continue", func(ctx context.Context) {
		ns := namespace(ctx, decided)
		held := strings.Replace(podManifest("held", limits), "metadata:", "metadata:\n  annotations: {podtrail.dev/hold-at: permit}", 1)
		apply(ns, held).succeeds()
		Eventually(func() string { return podtrail("schedule", "pod/held", "-n", ns).stdout }, soon, poll).Should(ContainSubstring("held in Permit for "))
		apply(ns, podManifest("other", limits)).succeeds()
		Eventually(nodeOfPod, soon, poll).WithArguments(ctx, ns, "other").ShouldNot(BeEmpty(), "nothing else waits")
		Expect(nodeOfPod(ctx, ns, "held")).To(BeEmpty())
		Expect(podtrail("continue", "pod/held", "-n", ns).succeeds()).To(ContainSubstring("held goes on → "))
		Eventually(nodeOfPod, 5*time.Second, poll).WithArguments(ctx, ns, "held").ShouldNot(BeEmpty())
		Expect(podtrail("continue", "pod/held", "-n", ns).failsWith(2)).To(ContainSubstring("is not held"))
	})

	It("says why there is nothing to show", func(ctx context.Context) {
		ns := namespace(ctx, map[string]string{"podtrail.dev/admission": "enabled"})
		apply(ns, podManifest("quiet", limits)).succeeds()
		Eventually(nodeOfPod, soon, poll).WithArguments(ctx, ns, "quiet").ShouldNot(BeEmpty())
		Expect(podtrail("schedule", "pod/quiet", "-n", ns).failsWith(2)).To(ContainSubstring("kubectl label namespace " + ns + " podtrail.dev/decisions=enabled"))
	})
})
