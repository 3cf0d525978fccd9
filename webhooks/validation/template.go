// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/verdict"
)

// TeachingReplicaSet checks what CEL in the CRD can't: whether the API server
// would accept the Pods that the template makes. Without this the mistake
// appears later, as a ReplicaFailure condition. old is nil on create.
//
// The checks are the ones that people run into, not all of ValidatePodTemplateSpec
// in k8s.io/kubernetes/pkg/apis/core/validation/validation.go: a template that
// passes here can still be refused there.
func TeachingReplicaSet(trs, old *podtrailv1alpha1.TeachingReplicaSet) Decision {
	v := verdict.Verdict{Rule: verdict.TeachingReplicaSetTemplate, Outcome: verdict.Allowed}
	if old != nil && equality.Semantic.DeepEqual(trs.Spec.Template, old.Spec.Template) {
		v.Reason = "the update leaves the template as it is"
		return Decision{Verdict: v}
	}
	if errs := validateTemplate(&trs.Spec.Template, field.NewPath("spec", "template")); len(errs) > 0 {
		v.Outcome = verdict.Denied
		v.Reason = fmt.Sprintf("the API server would refuse the template's Pods: %d errors, first at %s", len(errs), errs[0].Field)
		return Decision{Verdict: v, Message: templateRefusal(errs)}
	}
	v.Reason = "the template's Pods look valid"
	return Decision{Verdict: v, Warnings: templateWarnings(trs, old)}
}

func templateRefusal(errs field.ErrorList) string {
	lines := []string{fmt.Sprintf("rule %s: the API server would refuse Pods made from this template:", verdict.TeachingReplicaSetTemplate)}
	for _, err := range errs {
		lines = append(lines, "    "+err.Error())
	}
	return strings.Join(lines, "\n")
}

func templateWarnings(trs, old *podtrailv1alpha1.TeachingReplicaSet) []string {
	var warnings []string
	if old != nil {
		warnings = append(warnings, "spec.template: existing Pods keep the old template; delete them to have them made from the new one")
	}
	pod := &corev1.Pod{ObjectMeta: trs.Spec.Template.ObjectMeta, Spec: trs.Spec.Template.Spec}
	for _, c := range unlimited(pod) {
		warnings = append(warnings, fmt.Sprintf("spec.template: Pods will be refused by rule %s: %s has no CPU limit", verdict.CPULimits, c))
	}
	return warnings
}

func validateTemplate(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabels(t.Labels, path.Child("metadata", "labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(t.Annotations, path.Child("metadata", "annotations"))...)

	spec := path.Child("spec")
	volumes := sets.New[string]()
	for i := range t.Spec.Volumes {
		errs = append(errs, validateUniqueName(t.Spec.Volumes[i].Name, volumes, spec.Child("volumes").Index(i))...)
	}
	if len(t.Spec.Containers) == 0 {
		errs = append(errs, field.Required(spec.Child("containers"), "at least one container is needed"))
	}
	if len(t.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(spec.Child("ephemeralContainers"), "only a running Pod can be given ephemeral containers"))
	}
	seen := sets.New[string]()
	for i := range t.Spec.InitContainers {
		errs = append(errs, validateContainer(&t.Spec.InitContainers[i], seen, volumes, spec.Child("initContainers").Index(i))...)
	}
	for i := range t.Spec.Containers {
		errs = append(errs, validateContainer(&t.Spec.Containers[i], seen, volumes, spec.Child("containers").Index(i))...)
	}
	return errs
}

func validateContainer(c *corev1.Container, seen, volumes sets.Set[string], path *field.Path) field.ErrorList {
	errs := validateUniqueName(c.Name, seen, path)
	switch image := c.Image; {
	case image == "":
		errs = append(errs, field.Required(path.Child("image"), ""))
	case strings.TrimSpace(image) != image:
		errs = append(errs, field.Invalid(path.Child("image"), image, "must not have spaces before or after it"))
	}
	for i, p := range c.Ports {
		for _, msg := range validation.IsValidPortNum(int(p.ContainerPort)) {
			errs = append(errs, field.Invalid(path.Child("ports").Index(i).Child("containerPort"), p.ContainerPort, msg))
		}
	}
	for i, m := range c.VolumeMounts {
		if !volumes.Has(m.Name) {
			errs = append(errs, field.NotFound(path.Child("volumeMounts").Index(i).Child("name"), m.Name))
		}
	}
	return append(errs, validateResources(c.Resources, path.Child("resources"))...)
}

// validateUniqueName demands a DNS label that no sibling has, and notes it in seen.
func validateUniqueName(name string, seen sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		return append(errs, field.Required(path.Child("name"), ""))
	}
	for _, msg := range validation.IsDNS1123Label(name) {
		errs = append(errs, field.Invalid(path.Child("name"), name, msg))
	}
	if seen.Has(name) {
		errs = append(errs, field.Duplicate(path.Child("name"), name))
	}
	seen.Insert(name)
	return errs
}

func validateResources(r corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, requested := r.Requests[name]
		limit, limited := r.Limits[name]
		if requested && request.Sign() < 0 {
			errs = append(errs, field.Invalid(path.Child("requests").Key(string(name)), request.String(), "must not be negative"))
		}
		if limited && limit.Sign() < 0 {
			errs = append(errs, field.Invalid(path.Child("limits").Key(string(name)), limit.String(), "must not be negative"))
		}
		if requested && limited && request.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(path.Child("requests").Key(string(name)), request.String(), "must not exceed the limit "+limit.String()))
		}
	}
	return errs
}
