// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/trail"
)

// pullSpan is what containerd calls its part of a pull.
const pullSpan = "runtime.v1.ImageService/PullImage"

var _ = Describe("A Pod's trail agrees with", Ordered, func() {
	// New Pods: of older ones, a recorder that another spec has restarted knows only a part. Not in a namespace of the
	// spec's own, because the audit policy keeps no bodies there.
	BeforeAll(func(ctx context.Context) {
		kubectl("delete", "pods", "-n", demo, "-l", "app in (nginx, web)", "--wait=true").succeeds()
		for _, app := range []string{"nginx", "web"} {
			Eventually(ctx, func(ctx context.Context) []corev1.Pod { return pods(ctx, demo, app) }, soon, poll).
				Should(And(HaveLen(3), HaveEach(Satisfy(isReady))), "the Pods of app %s", app)
		}
	})

	DescribeTable("the time that the Pod took, the API server, its node and its kubelet", func(ctx context.Context, app string) {
		pulls := 0
		for _, pod := range pods(ctx, demo, app) {
			By("asking for the trail of Pod " + pod.Name)
			shown, object := completeTrailOf(ctx, &pod)
			timeAgrees(shown, object, &pod)
			run := observations(object, trail.Run)
			Expect(facts(observations(object, trail.Persist), trail.FactModRevision)).To(ContainElement(pod.ResourceVersion),
				"the last revision in etcd is the object's resourceVersion")
			Expect(facts(run, trail.FactPodIP)).To(ContainElement(pod.Status.PodIP))
			networkAgrees(run, &pod)
			quotasAgree(run, &pod)
			pulls += pullsAgree(ctx, run, &pod)
		}
		Expect(pulls).To(BeNumerically(">", 0), "some Pod's image was pulled, else nothing was compared")
	},
		Entry("of a Deployment", "nginx"),
		Entry("of a TeachingReplicaSet", "web"),
	)

	DescribeTable("the same Pod in its owner's trail, which is made of the records of all Pods", func(ctx context.Context, app, owner string) {
		for _, pod := range pods(ctx, demo, app) {
			completeTrailOf(ctx, &pod)
			Eventually(ctx, func(g Gomega) { // evidence that comes in between is in one of the two
				_, own := trailWith(&pod, "pod/"+pod.Name)
				_, among := trailWith(&pod, owner)
				g.Expect(own).NotTo(BeNil(), "Pod %s in its own trail", pod.Name)
				g.Expect(own).To(BeComparableTo(among), "Pod %s in its own trail and in that of %s", pod.Name, owner)
			}, soon, poll).Should(Succeed())
		}
	},
		Entry("of a Deployment", "nginx", "deployment/nginx-deployment"),
		Entry("of a TeachingReplicaSet", "web", "teachingreplicaset/web"),
	)
})

// trailWith returns the trail that the reference asks for, and the Pod in it, nil if it is not there.
func trailWith(pod *corev1.Pod, reference string) (shown trail.Trail, object *trail.Object) {
	GinkgoHelper()
	answer := podtrail("trail", reference, "-n", pod.Namespace, "-o", "json").succeeds()
	Expect(json.Unmarshal([]byte(answer), &shown)).To(Succeed())
	shown.Walk(func(o *trail.Object) {
		if o.Subject.UID == string(pod.UID) {
			object = o
		}
	})
	return shown, object
}

// completeTrailOf asks for a Pod's trail until it holds the spans of the Pod's pull, which the kubelet and containerd send
// some seconds later, and returns it with the Pod in it.
func completeTrailOf(ctx context.Context, pod *corev1.Pod) (shown trail.Trail, object *trail.Object) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		shown, object = trailWith(pod, "pod/"+pod.Name)
		g.Expect(object).NotTo(BeNil(), "the trail of Pod %s holds it", pod.Name)
		g.Expect(facts(observations(object, trail.Run), trail.FactSpan)).To(ContainElement(pullSpan), "spans of Pod %s", pod.Name)
	}, soon, poll).Should(Succeed())
	return shown, object
}

// observations are what the trail has of one stage of the object itself.
func observations(object *trail.Object, stage trail.Stage) []trail.Observation {
	var all []trail.Observation
	for _, entry := range entries(object) {
		if entry.Stage == stage {
			all = append(all, entry.Observations...)
		}
	}
	return all
}

// timeAgrees compares the stages' times with the whole, and the whole's end with the Pod's condition.
func timeAgrees(shown trail.Trail, object *trail.Object, pod *corev1.Pod) {
	GinkgoHelper()
	var sum time.Duration
	for _, segment := range shown.Timeline {
		sum += segment.Took
	}
	Expect(shown.Timeline).NotTo(BeEmpty(), "the stages of Pod %s are dated", pod.Name)
	// Not shown.Start: a Pod that takes another's place begins later than its owner.
	whole := object.ReadyAt.Sub(shown.Timeline[0].At)
	Expect(sum).To(BeNumerically("~", whole, whole/100), "the stages' times sum to the whole of Pod %s", pod.Name)
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			Expect(object.ReadyAt).To(BeTemporally("~", condition.LastTransitionTime.Time, 2*time.Second), "when Pod %s became Ready", pod.Name)
		}
	}
}

var (
	// link matches a line of ip -o link: its number, the number of its other end, and its hardware address.
	link = regexp.MustCompile(`(?m)^(\d+): \S+@if(\d+): .*link/ether (\S+)`)
	// pulledIn matches the kubelet's message.
	pulledIn = regexp.MustCompile(`^Successfully pulled image "([^"]+)" in (\S+) \(`)
)

// networkAgrees compares the CNI result with the interfaces that are on the node and in the Pod.
func networkAgrees(run []trail.Observation, pod *corev1.Pod) {
	GinkgoHelper()
	// The loopback has a result of its own.
	value := func(key string) string {
		GinkgoHelper()
		values := slices.DeleteFunc(facts(run, key), func(value string) bool { return strings.HasPrefix(value, "lo ") })
		Expect(values).NotTo(BeEmpty(), "fact %q of Pod %s", key, pod.Name)
		return values[0]
	}
	name, address, _ := strings.Cut(value(trail.FactHostVeth), " ")
	outside := link.FindStringSubmatch(onNode(pod, "ip", "-o", "link", "show", "dev", name))
	Expect(outside).NotTo(BeNil(), "%s is one end of a pair", name)
	Expect(outside[3]).To(Equal(address))

	name, address, _ = strings.Cut(value(trail.FactPodInterface), " ")
	inPod := []string{"nsenter", "--net=" + value("network namespace"), "ip", "-o"}
	inside := link.FindStringSubmatch(onNode(pod, append(inPod, "link", "show", "dev", name)...))
	Expect(inside).NotTo(BeNil(), "%s is one end of a pair", name)
	Expect(inside[3]).To(Equal(address))
	Expect([]string{inside[1], inside[2]}).To(Equal([]string{outside[2], outside[1]}), "each is the other's end")
	Expect(onNode(pod, append(inPod, "-4", "addr", "show", "dev", name)...)).To(ContainSubstring(" " + pod.Status.PodIP + "/"))
	Expect(facts(run, trail.FactAddress)).To(ContainElement(HavePrefix(pod.Status.PodIP + "/")))
}

// quotasAgree compares each container's CPU quota with the limit in its spec and with the kernel's file.
func quotasAgree(run []trail.Observation, pod *corev1.Pod) {
	GinkgoHelper()
	const period = 100_000
	limits := map[string]int64{}
	for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		limits[container.Name] = container.Resources.Limits.Cpu().MilliValue()
	}
	compared := map[string]bool{}
	for _, o := range run {
		quota, told := o.Fact(trail.FactCPUQuota)
		container, named := o.Fact(trail.FactContainer)
		if !told || !named {
			continue // the sandbox
		}
		Expect(quota).To(Equal(decimal(limits[container]*period/1000)), "the limit of container %s in %d µs", container, period)
		id, _ := o.Fact(trail.FactContainerID)
		file := onNode(pod, "sh", "-c", `cat $(find /sys/fs/cgroup -path "*`+id+`*" \( -name cpu.max -o -name cpu.cfs_quota_us \) | head -n 1)`)
		Expect(strings.Fields(file)).NotTo(BeEmpty(), "container %s has a cgroup", container)
		Expect(strings.Fields(file)[0]).To(Equal(quota), "the kernel's quota of container %s", container)
		compared[container] = true
	}
	Expect(compared).To(HaveLen(len(limits)), "containers of Pod %s whose quota is known", pod.Name)
}

// pullsAgree compares the time of the runtime's spans with what the kubelet's events say, and returns how many.
func pullsAgree(ctx context.Context, run []trail.Observation, pod *corev1.Pod) (compared int) {
	GinkgoHelper()
	const asking = 300 * time.Millisecond
	var spans []time.Duration
	for _, o := range run {
		if name, _ := o.Fact(trail.FactSpan); name == pullSpan {
			spans = append(spans, o.Duration)
		}
	}
	var events corev1.EventList
	Expect(k8s.List(ctx, &events, client.InNamespace(pod.Namespace), client.MatchingFields{"involvedObject.uid": string(pod.UID)})).To(Succeed())
	for _, event := range events.Items {
		match := pulledIn.FindStringSubmatch(event.Message)
		if event.Reason != "Pulled" || match == nil {
			continue
		}
		took, err := time.ParseDuration(match[2])
		Expect(err).NotTo(HaveOccurred())
		// The kubelet counts what it asks about the image's size as well (pkg/kubelet/images/puller.go).
		Expect(spans).To(ContainElement(And(BeNumerically("<=", took+time.Millisecond), BeNumerically(">", took-asking))),
			"a span of the pull of %s in %s", match[1], took)
		Expect(facts(run, trail.FactPull)).To(ContainElement(HavePrefix(match[2]+" ")), "the pull as the event tells it")
		compared++
	}
	return compared
}
