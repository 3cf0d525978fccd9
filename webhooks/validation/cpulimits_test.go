// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"podtrail.dev/podtrail/webhooks/verdict"
)

func limits(cpu string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}
}

// pod returns a Pod whose container app has the given CPU limit, "" for none.
func pod(cpu string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
	if cpu != "" {
		p.Spec.Containers[0].Resources = limits(cpu)
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func initContainer(name, cpu string, always bool) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		c := corev1.Container{Name: name}
		if cpu != "" {
			c.Resources = limits(cpu)
		}
		if always {
			c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
}

func ephemeral(p *corev1.Pod) {
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers,
		corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug"}})
}

func podLevel(cpu string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Resources = new(limits(cpu)) }
}

func mirror(p *corev1.Pod) {
	p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"}
}

func labelled(p *corev1.Pod) { p.Labels = map[string]string{"podtrail.dev/admission": "disabled"} }

func requestsOnly(p *corev1.Pod) {
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
}

func memoryLimit(p *corev1.Pod) {
	p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
}

const (
	addOne = "\n    limits: {cpu: 100m}"
	appMsg = `rule cpu-limits: container "app" has no CPU limit. Add under its resources:` + addOne
)

func TestPodCPULimits(t *testing.T) {
	type result struct {
		Outcome verdict.Outcome
		Message string
	}
	allowed := result{Outcome: verdict.Allowed}
	denied := func(message string) result { return result{verdict.Denied, message} }

	cases := map[string]struct {
		request PodRequest
		want    result
	}{
		"a limit on the only container":              {PodRequest{Pod: pod("100m")}, allowed},
		"no limit":                                   {PodRequest{Pod: pod("")}, denied(appMsg)},
		"a request is no limit":                      {PodRequest{Pod: pod("", requestsOnly)}, denied(appMsg)},
		"a memory limit is no CPU limit":             {PodRequest{Pod: pod("", memoryLimit)}, denied(appMsg)},
		"zero means none to the kubelet":             {PodRequest{Pod: pod("0")}, denied(appMsg)},
		"the smallest limit counts":                  {PodRequest{Pod: pod("1m")}, allowed},
		"the opt-out label opts out of nothing here": {PodRequest{Pod: pod("", labelled)}, denied(appMsg)},
		"a limit of the Pod covers all":              {PodRequest{Pod: pod("", podLevel("1"), initContainer("i", "", false), ephemeral)}, allowed},
		"a zero limit of the Pod covers none":        {PodRequest{Pod: pod("", podLevel("0"))}, denied(appMsg)},
		"an init container":                          {PodRequest{Pod: pod("1", initContainer("setup", "", false))}, denied(`rule cpu-limits: init container "setup" has no CPU limit. Add under its resources:` + addOne)},
		"a native sidecar":                           {PodRequest{Pod: pod("1", initContainer("proxy", "", true))}, denied(`rule cpu-limits: sidecar "proxy" has no CPU limit. Add under its resources:` + addOne)},
		"all that miss one are named": {
			PodRequest{Pod: pod("", initContainer("setup", "", false), initContainer("ok", "1", false), initContainer("proxy", "0", true))},
			denied(`rule cpu-limits: 3 containers have no CPU limit: init container "setup", sidecar "proxy", container "app". Add under the resources of each:` + addOne),
		},
		"a mirror Pod by its kubelet":             {PodRequest{Pod: pod("", mirror), ByNode: true}, result{Outcome: verdict.Exempt}},
		"the mirror annotation by a person":       {PodRequest{Pod: pod("", mirror)}, denied(appMsg)},
		"a kubelet's word without the annotation": {PodRequest{Pod: pod(""), ByNode: true}, denied(appMsg)},

		"an update of a Pod from before the rule": {PodRequest{Pod: pod("", labelled), Old: pod("")}, allowed},
		"an update takes the limit away":          {PodRequest{Pod: pod(""), Old: pod("100m")}, denied(appMsg)},
		"a resize to zero takes the limit away":   {PodRequest{Pod: pod("0"), Old: pod("100m")}, denied(appMsg)},
		"a resize to another limit":               {PodRequest{Pod: pod("200m"), Old: pod("100m")}, allowed},
		"a resize adds the limit":                 {PodRequest{Pod: pod("200m"), Old: pod("")}, allowed},
		"an update takes the Pod's limit away":    {PodRequest{Pod: pod(""), Old: pod("", podLevel("1"))}, denied(appMsg)},
		"one limit goes while another never was": {
			PodRequest{Pod: pod("", initContainer("setup", "", false)), Old: pod("1", initContainer("setup", "", false))},
			denied(appMsg),
		},

		"an ephemeral container where all others have limits": {PodRequest{Pod: pod("1", ephemeral), Old: pod("1")}, allowed},
		"an ephemeral container on top of a limit of the Pod": {PodRequest{Pod: pod("", podLevel("1"), ephemeral), Old: pod("", podLevel("1"))}, allowed},
		"an ephemeral container that nothing bounds": {
			PodRequest{Pod: pod("", ephemeral), Old: pod("")},
			denied(`rule cpu-limits: nothing bounds the CPU of ephemeral container "debug": Kubernetes gives it no limit of its own, ` +
				`and the Pod's cgroup has none because of container "app". Recreate the Pod with this under the resources of each:` + addOne),
		},
		"an ephemeral container from before the rule": {PodRequest{Pod: pod("", ephemeral, labelled), Old: pod("", ephemeral)}, allowed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := PodCPULimits(tc.request)
			if diff := cmp.Diff(tc.want, result{d.Verdict.Outcome, d.Message}); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if d.Verdict.Rule != verdict.CPULimits || d.Verdict.Reason == "" {
				t.Errorf("the verdict lacks a rule or a reason: %+v", d.Verdict)
			}
		})
	}
}
