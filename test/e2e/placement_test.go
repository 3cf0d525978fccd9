// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("podtrail-scheduler", Ordered, func() {
	// only has for each worker an image that the other lacks, so that chance would have to be right twice. Made once: a
	// kubelet takes up to 40 s to list what it has pulled.
	only := map[string]string{}

	BeforeAll(func(ctx context.Context) {
		ns := namespace(ctx, nil)
		for _, holder := range workers(ctx) {
			only[holder.Name] = tagImage(ctx, "only-on-"+holder.Name)
			runImageOn(ctx, ns, "first-"+holder.Name, only[holder.Name], holder.Name)
		}
		for holder, tagged := range only {
			waitUntilListed(ctx, holder, tagged)
		}
	})

	It("sends a Pod to the one worker that holds its image, and podtrail schedule says so", func(ctx context.Context) {
		ns := namespace(ctx, map[string]string{"podtrail.dev/decisions": "enabled"})
		for holder, tagged := range only {
			pod := schedulable(ns, "next-"+holder, tagged)
			Expect(k8s.Create(ctx, pod)).To(Succeed())
			Expect(nodeOf(ctx, pod)).To(Equal(holder))
			Eventually(func() int { return podtrail("schedule", "pod/"+pod.Name, "-n", ns).code }, soon, poll).Should(BeZero())
			Expect(scheduleOf(ns, pod.Name).Attempts[0].Why).To(ContainSubstring("ImageZone"), "why it is on %s", holder)
		}
	})

	It("fills two zones evenly", func(ctx context.Context) {
		ns := namespace(ctx, nil)
		kubectl("create", "deployment", "even", "-n", ns, "--image="+image, "--replicas=0").succeeds()
		kubectl("patch", "deployment", "even", "-n", ns, "--type=merge", "-p",
			`{"spec":{"replicas":6,"template":{"spec":{"schedulerName":"podtrail-scheduler","terminationGracePeriodSeconds":1}}}}`).succeeds()
		Eventually(ctx, func(g Gomega, ctx context.Context) {
			perZone := map[string]int{}
			zones := map[string]string{}
			for _, node := range workers(ctx) {
				zones[node.Name] = node.Labels[corev1.LabelTopologyZone]
			}
			for _, pod := range pods(ctx, ns, "even") {
				perZone[zones[pod.Spec.NodeName]]++
			}
			g.Expect(perZone).To(Equal(map[string]int{"zone-a": 3, "zone-b": 3}))
		}, soon, poll).Should(Succeed())
	})

	It("refuses a worker with too little disk, says both figures, and goes there when there is room", func(ctx context.Context) {
		ns := namespace(ctx, nil)
		full, other := workers(ctx)[0], workers(ctx)[1]
		tagged := only[other.Name]

		const left = 512 << 10
		tenant := schedulable(ns, "tenant", image)
		tenant.Spec.NodeName = full.Name
		tenant.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
			corev1.ResourceEphemeralStorage: *resource.NewQuantity(unrequested(ctx, full)-left, resource.BinarySI),
		}
		// Bound without a scheduler: ours must have seen it before the Pod that is to be refused comes.
		createUntilReady(ctx, tenant)

		pod := schedulable(ns, "refused", tagged)
		pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: full.Labels[corev1.LabelHostname]}
		Expect(k8s.Create(ctx, pod)).To(Succeed())
		Eventually(ctx, func(ctx context.Context) (string, error) {
			err := k8s.Get(ctx, client.ObjectKeyFromObject(pod), pod)
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodScheduled {
					return condition.Message, err
				}
			}
			return "", err
		}, soon, poll).Should(MatchRegexp(`1 node\(s\) had 5[0-9]{2}Ki of disk left for [0-9.]+Mi of images to pull`))

		Expect(k8s.Delete(ctx, tenant)).To(Succeed())
		Expect(nodeOf(ctx, pod)).To(Equal(full.Name))
	})
})

// workers are the nodes with a zone, in the order of their names.
func workers(ctx context.Context) []corev1.Node {
	GinkgoHelper()
	all := slices.DeleteFunc(nodes(ctx), func(node corev1.Node) bool { return node.Labels[corev1.LabelTopologyZone] == "" })
	Expect(all).To(HaveLen(2))
	return all
}

// tagImage gives the sample app another tag in the cluster's registry, and returns
// its name on the nodes: an image that none of them has pulled under that name.
func tagImage(ctx context.Context, tag string) string {
	GinkgoHelper()
	port := os.Getenv("REGISTRY_PORT")
	Expect(port).NotTo(BeEmpty(), "REGISTRY_PORT must be the port of the cluster's registry; make test-e2e sets it")
	manifests := "http://localhost:" + port + "/v2/podtrail/sampleapp/manifests/"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, manifests+"dev", nil)
	Expect(err).NotTo(HaveOccurred())
	for _, kind := range []string{"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"} {
		request.Header.Add("Accept", kind)
	}
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	Expect(response.StatusCode).To(Equal(http.StatusOK), "reading the manifest of sampleapp:dev")
	manifest, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())

	put, err := http.NewRequestWithContext(ctx, http.MethodPut, manifests+tag, bytes.NewReader(manifest))
	Expect(err).NotTo(HaveOccurred())
	put.Header.Set("Content-Type", response.Header.Get("Content-Type"))
	answer, err := http.DefaultClient.Do(put)
	Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	Expect(answer.StatusCode).To(Equal(http.StatusCreated), "writing the manifest under tag %s", tag)
	return "localhost:5001/podtrail/sampleapp:" + tag
}

// schedulable is a Pod of podtrail-scheduler without a controller.
func schedulable(namespace, name, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			SchedulerName:                 "podtrail-scheduler",
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers:                    []corev1.Container{{Name: "app", Image: image}},
		},
	}
}

// runImageOn runs an image on one node, past the scheduler, until it is Ready.
func runImageOn(ctx context.Context, namespace, name, image, node string) {
	GinkgoHelper()
	pod := schedulable(namespace, name, image)
	pod.Spec.NodeName = node
	createUntilReady(ctx, pod)
}

// waitUntilListed waits for the kubelet to write the image into the node's status,
// and checks that no other worker lists it.
func waitUntilListed(ctx context.Context, holder, image string) {
	GinkgoHelper()
	Eventually(ctx, func(ctx context.Context) []string {
		var holders []string
		for _, node := range workers(ctx) {
			if slices.ContainsFunc(node.Status.Images, func(held corev1.ContainerImage) bool { return slices.Contains(held.Names, image) }) {
				holders = append(holders, node.Name)
			}
		}
		return holders
	}, soon, poll).Should(Equal([]string{holder}), "the workers that list %s", image)
}

// nodeOf waits until the Pod has a node.
func nodeOf(ctx context.Context, pod *corev1.Pod) string {
	GinkgoHelper()
	Eventually(ctx, func(ctx context.Context) (string, error) {
		err := k8s.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		return pod.Spec.NodeName, err
	}, soon, poll).ShouldNot(BeEmpty(), "Pod %s has a node", pod.Name)
	return pod.Spec.NodeName
}

// unrequested is the node's allocatable ephemeral-storage without what its Pods request.
func unrequested(ctx context.Context, node corev1.Node) int64 {
	GinkgoHelper()
	left := node.Status.Allocatable.StorageEphemeral().Value()
	Expect(left).To(BeNumerically(">", 0), "node %s tells its disk", node.Name)
	var all corev1.PodList
	Expect(k8s.List(ctx, &all, client.MatchingFields{"spec.nodeName": node.Name})).To(Succeed())
	for _, pod := range all.Items {
		for _, container := range pod.Spec.Containers {
			left -= container.Resources.Requests.StorageEphemeral().Value()
		}
	}
	return left
}
