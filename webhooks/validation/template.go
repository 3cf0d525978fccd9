// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateTemplate checks common mistakes, not everything that ValidatePodSpec in
// k8s.io/kubernetes/pkg/apis/core/validation/validation.go checks: the API server can still refuse a template that
// passes here. What is refused here, it refuses for the same field; test/admission compares both.
//
// An absent field counts as its default.
func validateTemplate(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabels(t.Labels, path.Child("metadata", "labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(t.Annotations, path.Child("metadata", "annotations"))...)
	return append(errs, validatePodSpec(&t.Spec, path.Child("spec"))...)
}

func validatePodSpec(s *corev1.PodSpec, path *field.Path) field.ErrorList {
	volumes, errs := validateVolumes(s.Volumes, path.Child("volumes"))
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("containers"), "at least one container is needed"))
	}
	if len(s.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("ephemeralContainers"), "only a running Pod can be given ephemeral containers"))
	}
	// App containers first, as upstream does: if an app and an init container share a name, the error is about the latter.
	seen := sets.New[string]()
	for i := range s.Containers {
		errs = append(errs, validateAppContainer(&s.Containers[i], seen, volumes, path.Child("containers").Index(i))...)
	}
	for i := range s.InitContainers {
		errs = append(errs, validateInitContainer(&s.InitContainers[i], seen, volumes, path.Child("initContainers").Index(i))...)
	}
	errs = append(errs, validateHostPorts(s, path.Child("containers"))...)
	return append(errs, validatePodNames(s, path)...)
}

// validateVolumes returns the names that mounts may use.
func validateVolumes(volumes []corev1.Volume, path *field.Path) (sets.Set[string], field.ErrorList) {
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range volumes {
		at := path.Index(i)
		errs = append(errs, validateUniqueName(volumes[i].Name, names, at)...)
		if chosen := setPointers(volumes[i].VolumeSource); len(chosen) > 1 {
			errs = append(errs, field.Forbidden(at.Child(chosen[len(chosen)-1]), "may not specify more than 1 volume type"))
		}
	}
	return names, errs
}

// setPointers returns the JSON names of a struct's pointer fields that are not nil, in the order of the struct.
func setPointers(of any) []string {
	var names []string
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Pointer && !v.Field(i).IsNil() {
			names = append(names, jsonName(v.Type().Field(i)))
		}
	}
	return names
}

// validateHostPorts checks that host ports equal container ports: in the node's network there is no mapping.
func validateHostPorts(s *corev1.PodSpec, path *field.Path) field.ErrorList {
	if !s.HostNetwork {
		return nil
	}
	var errs field.ErrorList
	for i := range s.Containers {
		for j, p := range s.Containers[i].Ports {
			if p.HostPort != 0 && p.HostPort != p.ContainerPort {
				errs = append(errs, field.Invalid(path.Index(i).Child("ports").Index(j).Child("hostPort"), p.HostPort,
					"must match `containerPort` when `hostNetwork` is true"))
			}
		}
	}
	return errs
}

// validatePodNames checks the fields of the Pod that are names.
func validatePodNames(s *corev1.PodSpec, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabels(s.NodeSelector, path.Child("nodeSelector"))
	switch s.DNSPolicy {
	case "", corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone:
	default:
		errs = append(errs, field.NotSupported(path.Child("dnsPolicy"), s.DNSPolicy,
			[]corev1.DNSPolicy{corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone}))
	}
	for _, name := range []struct {
		field, value string
		check        func(string) []string
	}{
		{"serviceAccountName", s.ServiceAccountName, validation.IsDNS1123Subdomain},
		{"nodeName", s.NodeName, validation.IsDNS1123Subdomain},
		{"priorityClassName", s.PriorityClassName, validation.IsDNS1123Subdomain},
		{"hostname", s.Hostname, validation.IsDNS1123Label},
		{"subdomain", s.Subdomain, validation.IsDNS1123Label},
	} {
		if name.value == "" {
			continue
		}
		for _, msg := range name.check(name.value) {
			errs = append(errs, field.Invalid(path.Child(name.field), name.value, msg))
		}
	}
	return errs
}

// validateUniqueName requires a DNS label that is not in seen, and adds it to seen.
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
