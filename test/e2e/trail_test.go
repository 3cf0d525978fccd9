// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"podtrail.dev/podtrail/trail"
)

// podStages are the stages that every Pod's own trail has evidence for; 7 Reconcile is on its owner's.
var podStages = []trail.Stage{
	trail.Submit, trail.Authenticate, trail.Authorize, trail.Mutate, trail.Validate, trail.Persist, trail.Schedule, trail.Run,
}

var _ = Describe("podtrail trail", func() {
	DescribeTable("shows every stage of every Pod with the cluster's evidence", func(ctx context.Context, reference, app string) {
		var shown trail.Trail
		Expect(json.Unmarshal([]byte(podtrail("trail", reference, "-n", demo, "-o", "json").succeeds()), &shown)).To(Succeed())
		found := map[string]*trail.Object{}
		var stages []trail.Stage
		shown.Walk(func(object *trail.Object) {
			stages = append(stages, observedStages(object)...)
			if object.Subject.Kind == "Pod" {
				found[object.Subject.Name] = object
			}
		})
		Expect(stages).To(ContainElement(trail.Reconcile), "some owner's reconcile")

		for _, pod := range pods(ctx, demo, app) {
			object, ok := found[pod.Name]
			Expect(ok).To(BeTrue(), "the trail holds Pod %s", pod.Name)
			Expect(object.Subject.UID).To(BeEquivalentTo(pod.UID))
			Expect(observedStages(object)).To(ContainElements(podStages), "stages of Pod %s", pod.Name)
			Expect(inferred(object)).To(BeEmpty(), "Pod %s is joined by identity alone", pod.Name)
			told := 0
			for _, entry := range entries(object) {
				for _, o := range entry.Observations {
					told += len(o.Facts)
				}
			}
			Expect(told).To(BeNumerically(">=", 30), "facts of evidence for Pod %s", pod.Name)
			text := everyFact(object)
			Expect(text).To(ContainSubstring(pod.Spec.NodeName), "the node")
			Expect(text).To(ContainSubstring(pod.Status.PodIP), "the Pod's IP")
			Expect(text).To(ContainSubstring("podtrail-proxy"), "the webhook's patch")
		}
	},
		Entry("a Deployment", "deployment/nginx-deployment", "nginx"),
		Entry("a TeachingReplicaSet", "trs/web", "web"),
	)

	It("prints the stages 1 to 9 of a Pod for people, within 100 columns", func() {
		out := podtrail("trail", "deployment/nginx-deployment", "-n", demo).succeeds()
		for _, stage := range []string{
			"1 Submit", "2 Authenticate", "3 Authorize", "4 Mutate", "5 Validate", "6 Persist", "7 Reconcile", "8 Schedule", "9 Run",
		} {
			Expect(out).To(ContainSubstring(stage))
		}
		for line := range strings.Lines(out) {
			Expect(len([]rune(strings.TrimRight(line, "\n")))).To(BeNumerically("<=", 100), line)
		}
		text := unwrapped(out)
		Expect(text).To(MatchRegexp(`client certificate [0-9a-f]{8}`), "which credential")
		Expect(text).To(ContainSubstring("system:controller:replicaset-controller"), "the binding that allowed it")
		Expect(text).To(MatchRegexp(`stored as resourceVersion \d+`))
		Expect(text).To(MatchRegexp(`pulled in \S+ m?s`), "the pull time")
	})

	It("shows every stage of a Pod with a generated name where the audit policy keeps no bodies", func(ctx context.Context) {
		ns := namespace(ctx, nil)
		kubectl("create", "deployment", "quiet", "-n", ns, "--image="+image).succeeds()
		Eventually(ctx, func(g Gomega) {
			var shown trail.Trail
			g.Expect(json.Unmarshal([]byte(podtrail("trail", "deployment/quiet", "-n", ns, "-o", "json").succeeds()), &shown)).To(Succeed())
			var pod *trail.Object
			shown.Walk(func(object *trail.Object) {
				if object.Subject.Kind == "Pod" {
					pod = object
				}
			})
			g.Expect(pod).NotTo(BeNil(), "a Pod in the trail")
			var stages []trail.Stage
			for _, entry := range entries(pod) {
				if len(entry.Observations) > 0 {
					stages = append(stages, entry.Stage)
				}
			}
			g.Expect(stages).To(ContainElements(podStages), "stages of Pod %s", pod.Subject.Name)
			g.Expect(pod.Created.User).To(HaveSuffix(":replicaset-controller"))
		}, soon, poll).Should(Succeed())
	})

	It("shows a refused Pod, where it was refused and why, and ends with 1", func() {
		kubectl("apply", "-f", sample("pod-without-limit.yaml"), "-n", demo).failsWith(1)
		var result result
		Eventually(func() int {
			result = podtrail("trail", "pod/no-limit", "-n", demo)
			return result.code
		}, soon, poll).Should(Equal(1))
		Expect(result.stdout).To(And(ContainSubstring("refused at 5 Validate"), ContainSubstring(`container "app" has no CPU limit`),
			ContainSubstring("no Pod exists")))
	})

	Describe("when it cannot do what was asked", func() {
		DescribeTable("says so in one sentence with the next command",
			func(code int, want []string, args ...string) {
				stderr := podtrail(append([]string{"trail"}, args...)...).failsWith(code)
				for _, text := range want {
					Expect(stderr).To(ContainSubstring(text))
				}
				Expect(stderr).To(ContainSubstring("next: "))
			},
			Entry("a kind that there is not", 2, []string{"deployment"}, "deploymnt/nginx-deployment", "-n", demo),
			Entry("a name that there is not", 2, []string{"nginx-deployment"}, "deployment/nginx-deploymant", "-n", demo),
			Entry("a context that there is not", 2, []string{"nowhere"}, "deployment/nginx-deployment", "--context", "nowhere"),
			Entry("a cluster that does not answer", 3, []string{"127.0.0.1:1"}, "deployment/nginx-deployment", "--server", "https://127.0.0.1:1"),
			Entry("a user without rights", 3, []string{"No permission"}, "deployment/nginx-deployment", "-n", demo, "--as", "nobody"),
		)
	})

	It("still shows the objects when the recorder is absent, and says what is missing", Serial, func(ctx context.Context) {
		overlay := filepath.Join(root, "bin", "overlay")
		Expect(overlay).To(BeADirectory(), "make deploy writes it")
		kubectl("delete", "daemonset", "-l", "app.kubernetes.io/component=recorder", "-n", system, "--wait=true").succeeds()
		DeferCleanup(func() {
			kubectl("apply", "--server-side", "--field-manager=podtrail-deploy", "-k", overlay).succeeds()
			kubectl("rollout", "status", "-n", system, "daemonset", "-l", "app.kubernetes.io/component=recorder", "--timeout=55s").succeeds()
			waitUntilDelivered() // the specs that follow need what the recorders are sent
		})
		Eventually(ctx, func() []corev1.Pod { return podsOf(ctx, system, "recorder") }, soon, poll).Should(BeEmpty())
		Expect(podtrail("trail", "trs/web", "-n", demo).succeeds()).To(And(ContainSubstring("9 Run"), ContainSubstring("make deploy")))
	})
})

// unwrapped undoes the breaking of lines for a terminal: one line, the tree's lines left out.
func unwrapped(out string) string {
	return strings.Join(strings.FieldsFunc(out, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("┃│├└─", r) }), " ")
}

// entries are all stages of an object's own writes and of its life afterwards.
func entries(object *trail.Object) []trail.Entry {
	all := slices.Concat(object.Created.Stages, object.Stages)
	for _, write := range object.Writes {
		all = append(all, write.Stages...)
	}
	return all
}

// observedStages lists the stages that an object's trail has observed, not inferred, evidence for.
func observedStages(object *trail.Object) []trail.Stage {
	var stages []trail.Stage
	for _, entry := range entries(object) {
		if slices.ContainsFunc(entry.Observations, func(o trail.Observation) bool { return !o.Inferred }) {
			stages = append(stages, entry.Stage)
		}
	}
	return stages
}

// inferred lists what was joined to an object otherwise than by identity.
func inferred(object *trail.Object) []string {
	var guessed []string
	for _, entry := range entries(object) {
		for _, o := range entry.Observations {
			if o.Inferred {
				guessed = append(guessed, entry.Stage.String()+" "+o.Summary)
			}
		}
	}
	return guessed
}

// everyFact is all that the trail says of an object.
func everyFact(object *trail.Object) string {
	var text strings.Builder
	for _, entry := range entries(object) {
		for _, o := range entry.Observations {
			fmt.Fprintln(&text, o.Summary)
			for _, fact := range o.Facts {
				fmt.Fprintln(&text, fact.Key, fact.Value)
			}
		}
	}
	return text.String()
}
