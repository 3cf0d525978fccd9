// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/verdict"
)

// maxOverlapWarnings bounds the warnings about other objects in one answer.
const maxOverlapWarnings = 3

// TeachingReplicaSetRequest is a request to write a TeachingReplicaSet.
type TeachingReplicaSetRequest struct {
	// Object is the object as it would be stored.
	Object *podtrailv1alpha1.TeachingReplicaSet
	// Old is the stored object, nil on create.
	Old *podtrailv1alpha1.TeachingReplicaSet
	// Others holds the TeachingReplicaSets of the namespace, with or without Object; nil if they are not known.
	Others []podtrailv1alpha1.TeachingReplicaSet
}

// DecideTeachingReplicaSet checks what CEL in the CRD cannot: whether the API server would accept the Pods made from
// the template, and whether the selector can be parsed. Without this check a mistake shows up later, as a
// ReplicaFailure condition or as an error in the controller's log.
//
// It does not repeat what CEL in the CRD checks: that the selector is immutable and matches the template's labels. The
// API server checks that before it calls validating webhooks, in every namespace, with and without this webhook.
//
// The warnings are about what works but may surprise.
func DecideTeachingReplicaSet(r TeachingReplicaSetRequest) Decision {
	v := verdict.Verdict{Rule: verdict.TeachingReplicaSetTemplate, Outcome: verdict.Allowed}
	if r.Old != nil && equality.Semantic.DeepEqual(r.Object.Spec.Template, r.Old.Spec.Template) {
		v.Reason = "the update leaves the template as it is"
		return Decision{Verdict: v}
	}
	spec := field.NewPath("spec")
	errs := metav1validation.ValidateLabelSelector(&r.Object.Spec.Selector, metav1validation.LabelSelectorValidationOptions{}, spec.Child("selector"))
	errs = append(errs, validateTemplate(&r.Object.Spec.Template, spec.Child("template"))...)
	if len(errs) > 0 {
		v.Outcome = verdict.Denied
		v.Reason = fmt.Sprintf("no Pods could be made: %d errors, first at %s", len(errs), errs[0].Field)
		return Decision{Verdict: v, Message: templateRefusal(errs)}
	}
	v.Reason = "the template's Pods look valid"
	return Decision{Verdict: v, Warnings: teachingReplicaSetWarnings(r)}
}

func templateRefusal(errs field.ErrorList) string {
	lines := []string{fmt.Sprintf("rule %s: no Pods could be made from this template:", verdict.TeachingReplicaSetTemplate)}
	for _, err := range errs {
		lines = append(lines, "    "+err.Error())
	}
	return strings.Join(lines, "\n")
}

func teachingReplicaSetWarnings(r TeachingReplicaSetRequest) []string {
	var warnings []string
	template := &r.Object.Spec.Template
	if r.Old != nil {
		warnings = append(warnings, "spec.template: existing Pods keep the old template; delete them to have them made from the new one")
	}
	for _, c := range unlimited(&corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}) {
		warnings = append(warnings, fmt.Sprintf("spec.template: Pods will be refused by rule %s: %s has no CPU limit", verdict.CPULimits, c))
	}
	return append(warnings, overlapWarnings(r)...)
}

// overlapWarnings names the objects that select this object's Pods, or whose Pods this object selects. The Pods keep
// their owners, but a Pod that loses its owner can be adopted by either, and autoscalers and disruption budgets that
// use the selector count the Pods of both.
func overlapWarnings(r TeachingReplicaSetRequest) []string {
	var names []string
	for i := range r.Others {
		other := &r.Others[i]
		if other.Name == r.Object.Name || other.DeletionTimestamp != nil {
			continue
		}
		if selectsPodsOf(r.Object, other) || selectsPodsOf(other, r.Object) {
			names = append(names, other.Name)
		}
	}
	var warnings []string
	for i, name := range names {
		if i == maxOverlapWarnings {
			return append(warnings, fmt.Sprintf("spec.selector: overlaps with %d more TeachingReplicaSets", len(names)-i))
		}
		warnings = append(warnings, fmt.Sprintf("spec.selector: overlaps with trs/%.40s: either can adopt an orphaned Pod of the other", name))
	}
	return warnings
}

func selectsPodsOf(selecting, making *podtrailv1alpha1.TeachingReplicaSet) bool {
	selector, err := metav1.LabelSelectorAsSelector(&selecting.Spec.Selector)
	if err != nil || selector.Empty() {
		return false // it selects nothing; the controller reports that
	}
	return selector.Matches(labels.Set(making.Spec.Template.Labels))
}
