// SPDX-License-Identifier: Apache-2.0

// Package mutation decides what the mutating webhook changes. It is pure: no
// client, no clock. A decision is a list of JSON patch operations that touch
// only the fields named in them, so fields that this build does not know are
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

const (
	// AdmissionDisabled on a Pod, as the value of the namespace's label, keeps the Pod as it is.
	AdmissionDisabled = "disabled"
	// InjectedAnnotationKey holds the Record of what was changed and by which version.
	InjectedAnnotationKey = "podtrail.dev/injected"
)

// Config is what the decision depends on besides the Pod.
type Config struct {
	// SidecarImage is the image of the proxy container.
	SidecarImage string
	// SchedulerName is given to Pods that did not choose a scheduler.
	SchedulerName string
	// Version of the webhook, written into the Record.
	Version string
}

// Decision is what the webhook answers.
type Decision struct {
	Verdict verdict.Verdict
	// Patches is empty if nothing has to change.
	Patches []jsonpatch.Operation
	// Warnings are shown to the client, at most 120 characters each.
	Warnings []string
}

// Pod decides about a Pod that is being created. Deciding again about the
// patched Pod yields no patch: the API server calls a webhook a second time
// when a later one changed the Pod (reinvocationPolicy IfNeeded).
func Pod(pod *corev1.Pod, cfg Config) Decision {
	if reason, warn := exempt(pod); reason != "" {
		d := Decision{Verdict: verdict.Verdict{Rule: verdict.PodDefaults, Outcome: verdict.Exempt, Reason: reason}}
		if warn {
			d.Warnings = []string{"podtrail left this Pod alone: " + reason}
		}
		return d
	}

	d := Decision{Verdict: verdict.Verdict{Rule: verdict.PodDefaults, Outcome: verdict.Unchanged}}
	rec := readRecord(pod)
	rec.Version = cfg.Version

	plan := planSidecar(pod, cfg)
	if plan.container != nil {
		d.change("spec.initContainers["+SidecarName+"]", addInitContainer(pod, plan.container))
		rec.Sidecar, rec.Port, rec.Target = SidecarName, SidecarPort, plan.target
	}
	done := []string{plan.reason}
	if plan.warning != "" {
		d.Warnings = append(d.Warnings, plan.warning)
	}

	if choosesScheduler(pod) {
		done = append(done, fmt.Sprintf("schedulerName stays %q", pod.Spec.SchedulerName))
	} else {
		d.change("spec.schedulerName", setSchedulerName(cfg.SchedulerName))
		rec.SchedulerName = cfg.SchedulerName
		done = append(done, fmt.Sprintf("schedulerName set to %q", cfg.SchedulerName))
	}

	if len(d.Patches) > 0 {
		d.change("metadata.annotations["+InjectedAnnotationKey+"]", annotate(pod, rec))
	}
	d.Verdict.Reason = strings.Join(done, "; ")
	return d
}

// change adds one operation and what the audit log calls it.
func (d *Decision) change(what string, op jsonpatch.Operation) {
	d.Patches = append(d.Patches, op)
	d.Verdict.Changed = append(d.Verdict.Changed, what)
	d.Verdict.Outcome = verdict.Mutated
}

// exempt returns why the Pod is left alone, or "", and whether its author
// should be told. A mirror Pod only reports a static Pod that the kubelet runs
// already; a hostNetwork Pod would open the proxy's port on the node itself.
func exempt(pod *corev1.Pod) (reason string, warn bool) {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return "it is a mirror Pod", false
	}
	if pod.Labels[podtrailv1alpha1.AdmissionLabelKey] == AdmissionDisabled {
		return fmt.Sprintf("its label %s is %q", podtrailv1alpha1.AdmissionLabelKey, AdmissionDisabled), false
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

// choosesScheduler reports whether the Pod named a scheduler of its own, or
// needs none because it names its node.
//
// An absent name can't be told from an explicit "default-scheduler": the API
// server sets defaults while it decodes the request (SetDefaults_PodSpec in
// k8s.io/kubernetes/pkg/apis/core/v1/defaults.go), before admission. Both
// count as "did not choose"; who wants the default scheduler in an opted-in
// namespace uses the opt-out label.
func choosesScheduler(pod *corev1.Pod) bool {
	name := pod.Spec.SchedulerName
	return pod.Spec.NodeName != "" || (name != "" && name != corev1.DefaultSchedulerName)
}
