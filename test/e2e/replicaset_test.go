// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/wrappers"
)

var _ = Describe("A TeachingReplicaSet", Ordered, func() {
	It("is listed by its short name with desired, current and ready", func() {
		Expect(kubectl("get", "trs", "-n", demo).succeeds()).To(MatchRegexp(`(?s)NAME\s+DESIRED\s+CURRENT\s+READY.*web\s+3\s+3\s+3`))
	})

	It("is scaled by kubectl scale, up and down", func(ctx context.Context) {
		DeferCleanup(func() { kubectl("scale", "trs/web", "-n", demo, "--replicas=3").succeeds() })
		kubectl("scale", "trs/web", "-n", demo, "--replicas=5").succeeds()
		Eventually(ctx, func() []string { return podNames(ctx, demo, "web") }, soon, poll).Should(HaveLen(5))
		kubectl("scale", "trs/web", "-n", demo, "--replicas=2").succeeds()
		Eventually(ctx, func() []string { return podNames(ctx, demo, "web") }, soon, poll).Should(HaveLen(2))
	})

	It("replaces a Pod that was deleted", func(ctx context.Context) {
		Eventually(ctx, func() []string { return podNames(ctx, demo, "web") }, soon, poll).Should(HaveLen(3))
		before := podNames(ctx, demo, "web")
		kubectl("delete", "pod", before[0], "-n", demo, "--wait=false").succeeds()
		Eventually(ctx, func(g Gomega) {
			after := podNames(ctx, demo, "web")
			g.Expect(after).To(HaveLen(3))
			g.Expect(slices.Contains(after, before[0])).To(BeFalse(), "the deleted Pod %s is gone", before[0])
			for _, pod := range pods(ctx, demo, "web") {
				g.Expect(isReady(pod)).To(BeTrue(), "%s is Ready", pod.Name)
			}
		}, soon, poll).Should(Succeed())
	})

	It("tells what it did as events", func() {
		Expect(kubectl("describe", "trs/web", "-n", demo).succeeds()).To(And(
			ContainSubstring("SuccessfulCreate"), ContainSubstring("SuccessfulDelete")))
	})

	// The name is upstream's, from test/e2e/apps/replica_set.go.
	It("should adopt matching pods on creation and release no longer matching pods", func(ctx context.Context) {
		ns := namespace(ctx, nil)
		owner := wrappers.MakeTeachingReplicaSet(ns, "adopter").Replicas(1).
			Template(func(spec *corev1.PodSpec) { *spec = appSpec() }).Obj()
		orphan := &corev1.Pod{Spec: appSpec()}
		orphan.Namespace, orphan.Name, orphan.Labels = ns, "orphan", owner.Spec.Template.Labels
		Expect(k8s.Create(ctx, orphan)).To(Succeed())
		Expect(k8s.Create(ctx, owner)).To(Succeed())
		ownerOf := func(ctx context.Context) (*metav1.OwnerReference, error) {
			err := k8s.Get(ctx, client.ObjectKeyFromObject(orphan), orphan)
			return metav1.GetControllerOf(orphan), err
		}
		Eventually(ctx, ownerOf, soon, poll).Should(HaveField("UID", owner.UID), "the Pod was adopted")
		Expect(podNames(ctx, ns, orphan.Labels["app"])).To(ConsistOf("orphan"), "no other Pod was made")

		kubectl("label", "pod/orphan", "-n", ns, "app=nobody", "--overwrite").succeeds()
		Eventually(ctx, ownerOf, soon, poll).Should(BeNil(), "the Pod was released")
		Eventually(ctx, func() []string { return podNames(ctx, ns, owner.Spec.Template.Labels["app"]) }, soon, poll).
			Should(HaveLen(1), "another one took its place")
	})

	// The name is upstream's, from test/e2e/apps/replica_set.go.
	It("should serve a basic image on each replica with a public image", func(ctx context.Context) {
		ns := namespace(ctx, nil)
		owner := wrappers.MakeTeachingReplicaSet(ns, "basic").Replicas(2).
			Template(func(spec *corev1.PodSpec) { *spec = appSpec() }).Obj()
		Expect(k8s.Create(ctx, owner)).To(Succeed())
		Eventually(ctx, func(ctx context.Context) (int32, error) {
			err := k8s.Get(ctx, client.ObjectKeyFromObject(owner), owner)
			return owner.Status.ReadyReplicas, err
		}, soon, poll).Should(BeEquivalentTo(2))
		replicas := podNames(ctx, ns, owner.Spec.Template.Labels["app"])
		Expect(replicas).To(HaveLen(2))
		for _, pod := range replicas {
			answer := kubectl("get", "--raw", "/api/v1/namespaces/"+ns+"/pods/"+pod+":8080/proxy/").succeeds()
			Expect(answer).To(HavePrefix("Hello from Pod " + pod + " on node "))
		}
	})

	DescribeTable("is refused when it makes no sense, with the field's path",
		func(change, wantPath string) {
			manifest := `
apiVersion: apps.podtrail.dev/v1alpha1
kind: TeachingReplicaSet
metadata: {name: invalid}
spec: ` + change
			Expect(apply("default", manifest).failsWith(1)).To(And(ContainSubstring("invalid"), ContainSubstring(wantPath)))
		},
		Entry("negative replicas", `{replicas: -1, selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: x, image: x}]}}}`,
			"spec.replicas"),
		Entry("empty selector", `{selector: {}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: x, image: x}]}}}`,
			"spec.selector"),
		Entry("a selector that does not match the template", `{selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: y}}, spec: {containers: [{name: x, image: x}]}}}`,
			"spec.template.metadata.labels"),
		Entry("restartPolicy Never", `{selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {restartPolicy: Never, containers: [{name: x, image: x}]}}}`,
			"spec.template.spec.restartPolicy"),
	)

	It("keeps its selector for life", func() {
		patch := `{"spec":{"selector":{"matchLabels":{"app":"other"}},"template":{"metadata":{"labels":{"app":"other"}}}}}`
		Expect(kubectl("patch", "trs/web", "-n", demo, "--type=merge", "-p", patch).failsWith(1)).To(ContainSubstring("spec.selector"))
	})
})
