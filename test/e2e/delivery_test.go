// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"podtrail.dev/podtrail/trail"
)

const (
	// exported bounds how long spans take to come once their exporter is connected: it sends every 5 s.
	exported = 20 * time.Second
	// reconnected is what an exporter that found no recorder may wait before it tries again, and some room.
	reconnected = 150 * time.Second
)

// sampled are the workloads of the samples and the label of their Pods.
var sampled = map[string]string{"deployment/nginx-deployment": "nginx", "trs/web": "web"}

// firstTrails are the samples' trails as they were right after the samples' first start, before any spec could matter, and
// the Pods that there were.
var (
	firstTrails = map[string]trail.Trail{}
	firstPods   = map[string][]corev1.Pod{}
)

// captureFirstTrails reads the trails once their last spans had time to come.
func captureFirstTrails() {
	GinkgoHelper()
	for reference, app := range sampled {
		firstPods[reference] = pods(context.Background(), demo, app)
	}
	deadline := time.Now().Add(exported)
	for {
		whole := true
		for reference := range sampled {
			var shown trail.Trail
			Expect(json.Unmarshal([]byte(podtrail("trail", reference, "-n", demo, "-o", "json").succeeds()), &shown)).To(Succeed())
			firstTrails[reference] = shown
			whole = whole && !shown.LacksSpans()
		}
		if whole || time.Now().After(deadline) { // what is missing then is for the spec to say
			return
		}
		time.Sleep(time.Second)
	}
}

// waitUntilDelivered waits until doctor finds nothing missing.
func waitUntilDelivered() string {
	GinkgoHelper()
	return runWithin(reconnected+commandTimeout, "", filepath.Join(root, "bin", "podtrail"), "doctor", "--wait", reconnected.String()).succeeds()
}

var _ = Describe("The first trails", func() {
	It("are complete: every Pod has the times of its request's stages, and its kubelet's and containerd's spans", func() {
		for reference := range sampled {
			shown := firstTrails[reference]
			found := map[string]*trail.Object{}
			shown.Walk(func(object *trail.Object) {
				found[object.Subject.Name] = object
				for _, entry := range entries(object) {
					Expect(entry.Missing).To(BeNil(), "stage %s of %s in the first trail of %s", entry.Stage, object.Subject, reference)
				}
			})
			Expect(firstPods[reference]).NotTo(BeEmpty(), "Pods of %s", reference)
			for _, pod := range firstPods[reference] {
				object := found[pod.Name]
				Expect(object).NotTo(BeNil(), "Pod %s in the first trail of %s", pod.Name, reference)
				for _, entry := range object.Created.Stages {
					// The API server measures no authentication. Both webhooks are called for these Pods, so 4 and 5 have times.
					if entry.Stage == trail.Authenticate {
						Expect(entry.Observations).NotTo(BeEmpty(), "stage %s of Pod %s", entry.Stage, pod.Name)
						continue
					}
					Expect(entry.At).NotTo(BeZero(), "when stage %s of Pod %s began", entry.Stage, pod.Name)
					Expect(entry.Took).To(BeNumerically(">", 0), "how long stage %s of Pod %s took", entry.Stage, pod.Name)
				}
				Expect(object.Created.Stages).To(HaveLen(int(trail.Persist)), "stages of the creation of Pod %s", pod.Name)
				Expect(spansOf(object)).To(ContainElements("syncPod", "cri.sandbox.run", "container.NewTask"), "the kubelet's and containerd's spans of Pod %s", pod.Name)
			}
		}
	})
})

// spansOf are the names of the spans that tell how a Pod came to run.
func spansOf(object *trail.Object) []string {
	var names []string
	for _, entry := range object.Stages {
		for _, o := range entry.Observations {
			if name, ok := o.Fact(trail.FactSpan); ok && o.Evidence.Source == trail.SourceSpan {
				names = append(names, name)
			}
		}
	}
	return names
}

var _ = Describe("podtrail doctor", Serial, func() {
	It("is green, names what each node delivers, and proves it by a request of its own", func(ctx context.Context) {
		out := waitUntilDelivered()
		for _, node := range nodes(ctx) {
			Expect(out).To(MatchRegexp(`✓ node ` + node.Name + ` delivers .*cni, oci and the spans of .*kubelet, containerd`))
		}
		Expect(out).To(ContainSubstring("✓ node " + controlPlane(ctx) + " delivers audit, etcd, cni, oci and the spans of kube-apiserver, kubelet, containerd"))
		Expect(out).To(MatchRegexp(`✓ a request of mine came back: audit event after \d+\.\d s, span after \d+\.\d s`))
		Expect(out).NotTo(ContainSubstring("✗"))
	})

	It("is red when one node's kubelet does not deliver, so is a trail from there, and green after", func(ctx context.Context) {
		node := workers(ctx)[0].Name
		const right, wrong = "127.0.0.1:4317", "127.0.0.1:4316"
		export := func(from, to string) {
			GinkgoHelper()
			config := "/var/lib/kubelet/config.yaml"
			runPath("", "docker", "exec", node, "sed", "-i", "s/endpoint: "+from+"$/endpoint: "+to+"/", config).succeeds()
			runPath("", "docker", "exec", node, "grep", "endpoint: "+to+"$", config).succeeds()
			runPath("", "docker", "exec", node, "systemctl", "restart", "kubelet").succeeds()
		}
		DeferCleanup(func() {
			export(wrong, right)
			waitUntilDelivered()
		})
		export(right, wrong)

		By("seeing its connection end, within seconds and not the minutes that a silent one would take")
		var report result
		Eventually(ctx, func() string {
			report = podtrail("doctor")
			return report.stdout
		}, soon, poll).Should(ContainSubstring("✗ node " + node + ": kubelet has had no connection for "))
		report.failsWith(3)
		for _, other := range nodes(ctx) {
			if other.Name != node {
				Expect(report.stdout).To(ContainSubstring("✓ node " + other.Name + " delivers "))
			}
		}

		By("asking for the trail of a Pod there")
		ns := namespace(ctx, nil)
		runOn(ctx, ns, "unheard", node)
		Eventually(ctx, func() string {
			return unwrapped(podtrail("trail", "pod/unheard", "-n", ns).succeeds())
		}, soon, poll).Should(ContainSubstring("not whole: kubelet on " + node + " has had no connection for "))
	})

	It("finds the versions of all parts, and that they are the same", func() {
		result := podtrail("version")
		Expect(result.succeeds()).To(And(MatchRegexp(`(?m)^Kubernetes v1\.\d+\.\d+ at https://`), MatchRegexp(`(?m)^manager v.*, Pods: 2$`),
			MatchRegexp(`(?m)^recorder v.*, Pods: 3$`), MatchRegexp(`(?m)^scheduler v`)))
		Expect(result.stderr).To(BeEmpty(), "no warning")
	})
})

// controlPlane is the name of the only control plane's node.
func controlPlane(ctx context.Context) string {
	GinkgoHelper()
	all := nodes(ctx)
	i := slices.IndexFunc(all, func(node corev1.Node) bool { return node.Labels[corev1.LabelTopologyZone] == "" })
	Expect(i).To(BeNumerically(">=", 0), "a control plane")
	return all[i].Name
}
