// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"podtrail.dev/podtrail/webhooks/mutation"
	"podtrail.dev/podtrail/webhooks/validation"
	"podtrail.dev/podtrail/webhooks/verdict"
)

// nodesGroup is the group of every kubelet (user.NodesGroup in k8s.io/apiserver).
const nodesGroup = "system:nodes"

var podKind = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}

// podDefaulter serves default.pods.podtrail.dev.
type podDefaulter struct {
	config mutation.Config
	exempt exemptNamespaces
}

var _ admission.Handler = podDefaulter{}

// Handle answers with a patch. The object may lack a name and a namespace: a generateName Pod gets its name only after
// admission, and its namespace is in the request.
func (h podDefaulter) Handle(ctx context.Context, req admission.Request) admission.Response {
	if err := checkKind(req, podKind, h.exempt); err != nil {
		return unreadable(verdict.PodDefaults, err)
	}
	if h.exempt.has(req.Namespace) || req.Operation != admissionv1.Create || req.SubResource != "" {
		return mutated(mutation.Decision{Verdict: outOfScope(verdict.PodDefaults, req)})
	}
	var pod corev1.Pod
	if err := decode(req.Object, "the Pod", &pod); err != nil {
		return unreadable(verdict.PodDefaults, err)
	}
	d := mutation.DecidePod(&pod, h.config)
	logVerdict(ctx, d.Verdict, req)
	return mutated(d)
}

// podValidator serves validate.pods.podtrail.dev, for Pods and for their subresources ephemeralcontainers and resize,
// whose object is the whole Pod.
type podValidator struct {
	exempt exemptNamespaces
}

var _ admission.Handler = podValidator{}

// Handle allows or denies.
func (h podValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	if err := checkKind(req, podKind, h.exempt); err != nil {
		return unreadable(verdict.CPULimits, err)
	}
	isUpdate := req.Operation == admissionv1.Update
	if h.exempt.has(req.Namespace) || !isUpdate && req.Operation != admissionv1.Create {
		return validated(validation.Decision{Verdict: outOfScope(verdict.CPULimits, req)})
	}
	var pod corev1.Pod
	if err := decode(req.Object, "the Pod", &pod); err != nil {
		return unreadable(verdict.CPULimits, err)
	}
	request := validation.PodRequest{Pod: &pod, ByNode: slices.Contains(req.UserInfo.Groups, nodesGroup)}
	if isUpdate {
		request.Old = &corev1.Pod{}
		if err := decode(req.OldObject, "the stored Pod", request.Old); err != nil {
			return unreadable(verdict.CPULimits, err)
		}
	}
	d := validation.PodCPULimits(request)
	logVerdict(ctx, d.Verdict, req)
	return validated(d)
}

// exemptNamespaces are never touched, even if they are labelled. The webhook configurations exclude them too; this is
// the second safeguard.
type exemptNamespaces []string

func (e exemptNamespaces) has(namespace string) bool { return slices.Contains(e, namespace) }

// checkKind returns an error if the request is about another kind, or about none, unless its namespace is exempt. Such
// a request must not pass as "not about Pods, so allowed".
func checkKind(req admission.Request, want metav1.GroupVersionKind, exempt exemptNamespaces) error {
	if exempt.has(req.Namespace) {
		return nil
	}
	return expectKind(req.Kind, want)
}

func outOfScope(rule verdict.Rule, req admission.Request) verdict.Verdict {
	what := req.Resource.Resource
	if req.SubResource != "" {
		what += "/" + req.SubResource
	}
	return verdict.Verdict{
		Rule:    rule,
		Outcome: verdict.Exempt,
		Reason:  fmt.Sprintf("the rule does not apply to %s of %s in namespace %q", req.Operation, what, req.Namespace),
	}
}

// logVerdict logs refusals at level 0 and all other verdicts at level 1: every verdict is in the audit log.
func logVerdict(ctx context.Context, v verdict.Verdict, req admission.Request) {
	level := 1
	if v.Outcome == verdict.Denied {
		level = 0
	}
	dryRun := req.DryRun != nil && *req.DryRun
	logf.FromContext(ctx).V(level).Info("Decided", "rule", v.Rule, "outcome", v.Outcome, "reason", v.Reason,
		"operation", req.Operation, "subresource", req.SubResource, "dryRun", dryRun)
}
