// SPDX-License-Identifier: Apache-2.0

// Package mutation decides what the mutating webhooks change. It is pure: it has no client and no clock. A decision is
// a list of JSON patch operations that touch only the fields they name, so fields that this build does not know are
// never dropped.
package mutation

import (
	"fmt"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/verdict"
)

// Config is what the decision depends on beside the Pod.
type Config struct {
	// SidecarImage is the image of the proxy container.
	SidecarImage string
	// SchedulerName is set in Pods that did not choose a scheduler.
	SchedulerName string
	// Version is the webhook's version, written into the annotation.
	Version string
}

// Decision is the webhook's answer.
type Decision struct {
	Verdict verdict.Verdict
	// Patches is empty if nothing needs to change.
	Patches []jsonpatch.Operation
	// Warnings are shown to the client, at most 120 characters each.
	Warnings []string
}

// DecidePod decides about a Pod that is being created. Deciding about the patched Pod again yields no patch: the API
// server calls a webhook a second time if a later one changed the Pod (reinvocationPolicy IfNeeded).
func DecidePod(pod *corev1.Pod, cfg Config) Decision {
	if reason, warn := exempt(pod); reason != "" {
		d := Decision{Verdict: verdict.Verdict{Rule: verdict.PodDefaults, Outcome: verdict.Exempt, Reason: reason}}
		if warn {
			d.Warnings = []string{"podtrail left this Pod alone: " + reason}
		}
		return d
	}

	d := Decision{Verdict: verdict.Verdict{Rule: verdict.PodDefaults, Outcome: verdict.Unchanged}}
	injected := readInjected(pod)
	plan := planSidecar(pod, injected, cfg)
	injected.Version = cfg.Version
	if plan.container != nil {
		d.change("spec.initContainers["+SidecarName+"]", addInitContainer(pod, plan.container))
		injected.Sidecar, injected.Port, injected.Target = SidecarName, SidecarPort, plan.target
	}
	done := []string{plan.reason}
	if plan.warning != "" {
		d.Warnings = append(d.Warnings, plan.warning)
	}

	if choosesScheduler(pod) {
		done = append(done, fmt.Sprintf("schedulerName stays %q", pod.Spec.SchedulerName))
	} else {
		d.change("spec.schedulerName", setSchedulerName(cfg.SchedulerName))
		injected.SchedulerName = cfg.SchedulerName
		done = append(done, fmt.Sprintf("schedulerName set to %q", cfg.SchedulerName))
	}

	if len(d.Patches) > 0 {
		d.change("metadata.annotations["+podtrailv1alpha1.InjectedAnnotationKey+"]", annotate(pod, injected))
	}
	d.Verdict.Reason = strings.Join(done, "; ")
	return d
}

// change adds one operation, and its name for the audit log.
func (d *Decision) change(what string, op jsonpatch.Operation) {
	d.Patches = append(d.Patches, op)
	d.Verdict.Changed = append(d.Verdict.Changed, what)
	d.Verdict.Outcome = verdict.Mutated
}

// exempt returns why the Pod is left unchanged, or "" if it is not exempt, and whether to warn its author. A mirror Pod
// only reports a static Pod that the kubelet runs already; in a hostNetwork Pod the proxy would open its port on the
// node.
func exempt(pod *corev1.Pod) (reason string, warn bool) {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return "it is a mirror Pod", false
	}
	if pod.Labels[podtrailv1alpha1.AdmissionLabelKey] == podtrailv1alpha1.AdmissionDisabled {
		return fmt.Sprintf("its label %s is %q", podtrailv1alpha1.AdmissionLabelKey, podtrailv1alpha1.AdmissionDisabled), false
	}
	if pod.Spec.HostNetwork {
		return "it uses the node's network (hostNetwork)", true
	}
	if isWindows(pod) {
		return "it runs on Windows, the sidecar's image does not", true
	}
	return "", false
}

func isWindows(pod *corev1.Pod) bool {
	if pod.Spec.OS != nil {
		return pod.Spec.OS.Name == corev1.Windows
	}
	return pod.Spec.NodeSelector[corev1.LabelOSStable] == string(corev1.Windows)
}

// choosesScheduler reports whether the Pod names a scheduler, or needs none because it names its node.
//
// An absent name cannot be told from an explicit "default-scheduler": the API server sets defaults while it decodes the
// request (SetDefaults_PodSpec in k8s.io/kubernetes/pkg/apis/core/v1/defaults.go), before admission. Neither counts as
// a choice. To use the default scheduler in an opted-in namespace, set the opt-out label.
func choosesScheduler(pod *corev1.Pod) bool {
	name := pod.Spec.SchedulerName
	return pod.Spec.NodeName != "" || (name != "" && name != corev1.DefaultSchedulerName)
}
