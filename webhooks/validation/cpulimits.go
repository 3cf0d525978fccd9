// SPDX-License-Identifier: Apache-2.0

// Package validation decides what the validating webhooks allow. It is pure: it has no client and no clock.
package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"podtrail.dev/podtrail/webhooks/verdict"
)

// Decision is the webhook's answer.
type Decision struct {
	Verdict verdict.Verdict
	// Message is shown to the client when the request is denied.
	Message string
	// Warnings are shown to the client, whether the request is denied or not.
	Warnings []string
}

// Denied reports whether the request is refused.
func (d Decision) Denied() bool { return d.Verdict.Outcome == verdict.Denied }

// PodRequest is a request to write a Pod, or its ephemeral containers or resources.
type PodRequest struct {
	// Pod is the Pod as it would be stored.
	Pod *corev1.Pod
	// Old is the stored Pod, nil on create.
	Old *corev1.Pod
	// ByNode is true if a kubelet sent the request. Only kubelets create mirror Pods. The annotation by itself exempts no
	// Pod, because anyone can set it.
	ByNode bool
}

// PodCPULimits requires a CPU limit for every container of a Pod. It denies an update only for what the update makes
// worse: a Pod that was created before its namespace opted in can still be labelled, patched and finalized.
//
// A limit of zero counts as none, as for the kubelet (MilliCPUToQuota in
// k8s.io/kubernetes/pkg/kubelet/cm/helpers_linux.go). A limit on the Pod itself covers all of its containers.
func PodCPULimits(r PodRequest) Decision {
	if _, mirror := r.Pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror && r.ByNode {
		return decide(verdict.Exempt, "a kubelet reports a static Pod that it runs already")
	}
	now := unlimited(r.Pod)
	if len(now) == 0 {
		return decide(verdict.Allowed, covered(r.Pod))
	}
	before := map[container]bool{}
	if r.Old != nil {
		for _, c := range unlimited(r.Old) {
			before[c] = true
		}
	}
	var worse []container
	for _, c := range now {
		if !before[c] {
			worse = append(worse, c)
		}
	}
	if len(worse) == 0 {
		return decide(verdict.Allowed, "the update changes no limit; without one since before the rule applied: "+names(now))
	}
	d := decide(verdict.Denied, "no CPU limit: "+names(worse))
	d.Message = refusal(worse, now)
	return d
}

func decide(outcome verdict.Outcome, reason string) Decision {
	return Decision{Verdict: verdict.Verdict{Rule: verdict.CPULimits, Outcome: outcome, Reason: reason}}
}

// container identifies one container of a Pod. It is comparable.
type container struct {
	kind, name string
}

const (
	kindApp       = "container"
	kindInit      = "init container"
	kindSidecar   = "sidecar"
	kindEphemeral = "ephemeral container"
)

func (c container) String() string { return fmt.Sprintf("%s %q", c.kind, c.name) }

// unlimited returns the containers whose CPU use has no bound, in the order init, app, ephemeral.
//
// Kubernetes does not allow ephemeral containers to have resources. They are bounded by the Pod's cgroup, and the
// kubelet sets a quota there only if the Pod has a CPU limit or each of its other containers has one
// (ResourceConfigForPod in k8s.io/kubernetes/pkg/kubelet/cm/helpers_linux.go).
func unlimited(pod *corev1.Pod) []container {
	if r := pod.Spec.Resources; r != nil && hasCPULimit(*r) {
		return nil
	}
	var found []container
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; !hasCPULimit(c.Resources) {
			found = append(found, container{initKind(c), c.Name})
		}
	}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; !hasCPULimit(c.Resources) {
			found = append(found, container{kindApp, c.Name})
		}
	}
	if len(found) == 0 {
		return nil
	}
	for i := range pod.Spec.EphemeralContainers {
		found = append(found, container{kindEphemeral, pod.Spec.EphemeralContainers[i].Name})
	}
	return found
}

func initKind(c *corev1.Container) string {
	if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
		return kindSidecar
	}
	return kindInit
}

func hasCPULimit(r corev1.ResourceRequirements) bool {
	limit := r.Limits[corev1.ResourceCPU]
	return limit.Sign() > 0
}

// covered describes how a Pod satisfies the rule.
func covered(pod *corev1.Pod) string {
	if r := pod.Spec.Resources; r != nil && hasCPULimit(*r) {
		return "the Pod itself has a CPU limit of " + r.Limits.Cpu().String()
	}
	n := len(pod.Spec.InitContainers) + len(pod.Spec.Containers)
	return fmt.Sprintf("%d of %d containers have a CPU limit", n, n)
}
