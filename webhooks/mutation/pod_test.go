// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/verdict"
)

var testConfig = Config{SidecarImage: "registry.example/proxy:1", SchedulerName: "podtrail-scheduler", Version: "v1"}

// podWith returns a Pod as admission sees it: with a port, the defaulted scheduler, and whatever change makes of it.
func podWith(change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		SchedulerName: corev1.DefaultSchedulerName,
		Containers:    []corev1.Container{{Name: "app", Image: "app", Ports: []corev1.ContainerPort{{ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}},
	}}
	for _, f := range change {
		f(pod)
	}
	return pod
}

// apply returns the Pod after the decision's patches, through JSON as the API server does it.
func apply(t *testing.T, pod *corev1.Pod, d Decision) *corev1.Pod {
	t.Helper()
	before, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	var after corev1.Pod
	if err := json.Unmarshal(applyRaw(t, before, d), &after); err != nil {
		t.Fatal(err)
	}
	return &after
}

func applyRaw(t *testing.T, before []byte, d Decision) []byte {
	t.Helper()
	if len(d.Patches) == 0 {
		return before
	}
	raw, err := json.Marshal(d.Patches)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(raw)
	if err != nil {
		t.Fatal(err)
	}
	after, err := patch.Apply(before)
	if err != nil {
		t.Fatalf("applying %s to %s: %v", raw, before, err)
	}
	return after
}

func TestPod(t *testing.T) {
	type result struct {
		Outcome    verdict.Outcome
		Scheduler  string
		Init       []string
		Annotation string
	}
	both := `{"version":"v1","sidecar":"podtrail-proxy","port":15180,"target":8080,"schedulerName":"podtrail-scheduler"}`
	onlyScheduler := `{"version":"v1","schedulerName":"podtrail-scheduler"}`
	onlySidecar := `{"version":"v1","sidecar":"podtrail-proxy","port":15180,"target":8080}`
	untouched := result{Outcome: verdict.Exempt, Scheduler: "default-scheduler"}

	cases := map[string]struct {
		pod         *corev1.Pod
		want        result
		wantWarning string
	}{
		"an ordinary Pod gets both": {
			pod:  podWith(),
			want: result{verdict.Mutated, "podtrail-scheduler", []string{"podtrail-proxy"}, both},
		},
		"a Pod whose scheduler is not defaulted yet": {
			pod:  podWith(func(p *corev1.Pod) { p.Spec.SchedulerName = "" }),
			want: result{verdict.Mutated, "podtrail-scheduler", []string{"podtrail-proxy"}, both},
		},
		"a scheduler that was chosen stays": {
			pod:  podWith(func(p *corev1.Pod) { p.Spec.SchedulerName = "mine" }),
			want: result{verdict.Mutated, "mine", []string{"podtrail-proxy"}, onlySidecar},
		},
		"a Pod that names its node needs no scheduler": {
			pod:  podWith(func(p *corev1.Pod) { p.Spec.NodeName = "worker" }),
			want: result{verdict.Mutated, "default-scheduler", []string{"podtrail-proxy"}, onlySidecar},
		},
		"generateName, no name and no namespace": {
			pod:  podWith(func(p *corev1.Pod) { p.GenerateName = "web-" }),
			want: result{verdict.Mutated, "podtrail-scheduler", []string{"podtrail-proxy"}, both},
		},
		"init containers keep their order, the sidecar comes last": {
			pod: podWith(func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{{Name: "one"}, {Name: "two"}}
			}),
			want: result{verdict.Mutated, "podtrail-scheduler", []string{"one", "two", "podtrail-proxy"}, both},
		},
		"no port declared: no proxy": {
			pod:         podWith(func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil }),
			want:        result{verdict.Mutated, "podtrail-scheduler", nil, onlyScheduler},
			wantWarning: "podtrail added no sidecar: no container declares a TCP port to put it in front of",
		},
		"only UDP declared: no proxy": {
			pod:         podWith(func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].Protocol = corev1.ProtocolUDP }),
			want:        result{verdict.Mutated, "podtrail-scheduler", nil, onlyScheduler},
			wantWarning: "podtrail added no sidecar: no container declares a TCP port to put it in front of",
		},
		"the port of a second container counts, after UDP": {
			pod: podWith(func(p *corev1.Pod) {
				p.Spec.Containers[0].Ports[0].Protocol = corev1.ProtocolUDP
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "b", Ports: []corev1.ContainerPort{{ContainerPort: 9000}}})
			}),
			want: result{verdict.Mutated, "podtrail-scheduler", []string{"podtrail-proxy"}, strings.Replace(both, "8080", "9000", 1)},
		},
		"the app uses the sidecar's port": {
			pod:         podWith(func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = 15180 }),
			want:        result{verdict.Mutated, "podtrail-scheduler", nil, onlyScheduler},
			wantWarning: "podtrail added no sidecar: a container of the Pod declares port 15180, which the sidecar needs",
		},
		"an init container uses the sidecar's port": {
			pod: podWith(func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{{Name: "i", Ports: []corev1.ContainerPort{{ContainerPort: 15180}}}}
			}),
			want:        result{verdict.Mutated, "podtrail-scheduler", []string{"i"}, onlyScheduler},
			wantWarning: "podtrail added no sidecar: a container of the Pod declares port 15180, which the sidecar needs",
		},
		"a container of the sidecar's name that is not ours": {
			pod:         podWith(func(p *corev1.Pod) { p.Spec.Containers[0].Name = "podtrail-proxy" }),
			want:        result{verdict.Mutated, "podtrail-scheduler", nil, onlyScheduler},
			wantWarning: `podtrail added no sidecar: the Pod has a container named "podtrail-proxy" of its own`,
		},
		"a copied annotation without the sidecar": {
			pod: podWith(func(p *corev1.Pod) {
				p.Annotations = map[string]string{podtrailv1alpha1.InjectedAnnotationKey: both, "other": "kept"}
			}),
			want: result{verdict.Mutated, "podtrail-scheduler", []string{"podtrail-proxy"}, both},
		},
		"a copied annotation claims a scheduler that the Pod did not get": {
			pod: podWith(func(p *corev1.Pod) {
				p.Annotations, p.Spec.SchedulerName = map[string]string{podtrailv1alpha1.InjectedAnnotationKey: both}, "mine"
			}),
			want: result{verdict.Mutated, "mine", []string{"podtrail-proxy"}, onlySidecar},
		},
		"an annotation that is not JSON": {
			pod:  podWith(func(p *corev1.Pod) { p.Annotations = map[string]string{podtrailv1alpha1.InjectedAnnotationKey: "true"} }),
			want: result{verdict.Mutated, "podtrail-scheduler", []string{"podtrail-proxy"}, both},
		},
		"opted out by label": {
			pod: podWith(func(p *corev1.Pod) {
				p.Labels = map[string]string{podtrailv1alpha1.AdmissionLabelKey: podtrailv1alpha1.AdmissionDisabled}
			}),
			want: untouched,
		},
		"the label's value is matched with its case": {
			pod:  podWith(func(p *corev1.Pod) { p.Labels = map[string]string{podtrailv1alpha1.AdmissionLabelKey: "Disabled"} }),
			want: result{verdict.Mutated, "podtrail-scheduler", []string{"podtrail-proxy"}, both},
		},
		"a mirror Pod": {
			pod:  podWith(func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }),
			want: untouched,
		},
		"the node's network": {
			pod:         podWith(func(p *corev1.Pod) { p.Spec.HostNetwork = true }),
			want:        untouched,
			wantWarning: "podtrail left this Pod alone: it uses the node's network (hostNetwork)",
		},
		"Windows by spec.os": {
			pod:         podWith(func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }),
			want:        untouched,
			wantWarning: "podtrail left this Pod alone: it runs on Windows, the sidecar's image does not",
		},
		"Windows by node selector": {
			pod:         podWith(func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelOSStable: "windows"} }),
			want:        untouched,
			wantWarning: "podtrail left this Pod alone: it runs on Windows, the sidecar's image does not",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := DecidePod(tc.pod, testConfig)
			after := apply(t, tc.pod, d)
			got := result{Outcome: d.Verdict.Outcome, Scheduler: after.Spec.SchedulerName, Annotation: after.Annotations[podtrailv1alpha1.InjectedAnnotationKey]}
			for _, c := range after.Spec.InitContainers {
				got.Init = append(got.Init, c.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if warnings := strings.Join(d.Warnings, "\n"); warnings != tc.wantWarning {
				t.Errorf("warnings are %q, want %q", warnings, tc.wantWarning)
			}
			if d.Verdict.Rule != verdict.PodDefaults || d.Verdict.Reason == "" {
				t.Errorf("the verdict lacks a rule or a reason: %+v", d.Verdict)
			}
			for key, value := range tc.pod.Annotations {
				if key != podtrailv1alpha1.InjectedAnnotationKey && after.Annotations[key] != value {
					t.Errorf("annotation %s is %q after, was %q", key, after.Annotations[key], value)
				}
			}
			if len(d.Verdict.Changed) != len(d.Patches) {
				t.Errorf("the verdict names the changes %v of %d patch operations", d.Verdict.Changed, len(d.Patches))
			}
			if again := DecidePod(after, testConfig); len(again.Patches) > 0 {
				t.Errorf("a second pass patches again: %v", again.Patches)
			}
		})
	}
}

// TestReinvocationAfterAnotherWebhook: another webhook adds a port between the
// two passes; the second pass adds the sidecar and keeps what the record says.
func TestReinvocationAfterAnotherWebhook(t *testing.T) {
	pod := podWith(func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil })
	after := apply(t, pod, DecidePod(pod, testConfig))
	after.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}
	final := apply(t, after, DecidePod(after, testConfig))
	want := Injected{Version: "v1", Sidecar: SidecarName, Port: SidecarPort, Target: 8080, SchedulerName: "podtrail-scheduler"}
	if diff := cmp.Diff(want, readInjected(final)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestSidecarResources(t *testing.T) {
	list := func(pairs ...string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return l
	}
	cases := map[string]struct {
		podLevel *corev1.ResourceRequirements
		want     corev1.ResourceRequirements
	}{
		"its own, requests as limits, so that Guaranteed stays Guaranteed": {
			want: corev1.ResourceRequirements{Requests: list("cpu", "50m", "memory", "48Mi"), Limits: list("cpu", "50m", "memory", "48Mi")},
		},
		"the Pod's limits cover it": {
			podLevel: &corev1.ResourceRequirements{Limits: list("cpu", "1", "memory", "1Gi")},
			want:     corev1.ResourceRequirements{Requests: list(), Limits: list()},
		},
		"the Pod limits only the CPU": {
			podLevel: &corev1.ResourceRequirements{Limits: list("cpu", "1")},
			want:     corev1.ResourceRequirements{Requests: list("memory", "48Mi"), Limits: list("memory", "48Mi")},
		},
		"the Pod's requests must not be exceeded": {
			podLevel: &corev1.ResourceRequirements{Requests: list("cpu", "1", "memory", "1Gi")},
			want:     corev1.ResourceRequirements{Requests: list("cpu", "0", "memory", "0"), Limits: list("cpu", "50m", "memory", "48Mi")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, sidecarResources(tc.podLevel)); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
		})
	}
}
