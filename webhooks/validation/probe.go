// SPDX-License-Identifier: Apache-2.0

package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateProbes(c *corev1.Container, path *field.Path) field.ErrorList {
	errs := validateProbe(c.LivenessProbe, true, path.Child("livenessProbe"))
	errs = append(errs, validateProbe(c.StartupProbe, true, path.Child("startupProbe"))...)
	return append(errs, validateProbe(c.ReadinessProbe, false, path.Child("readinessProbe"))...)
}

// validateProbe mirrors validateProbe and validateLivenessProbe. once is true if the probe must have a successThreshold
// of 1.
func validateProbe(p *corev1.Probe, once bool, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	var errs field.ErrorList
	handlers := setPointers(p.ProbeHandler)
	switch len(handlers) {
	case 0:
		errs = append(errs, field.Required(path, "must specify a handler type"))
	case 1:
	default:
		errs = append(errs, field.Forbidden(path.Child(handlers[1]), "may not specify more than 1 handler type"))
	}
	for _, number := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds},
		{"timeoutSeconds", p.TimeoutSeconds},
		{"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold},
		{"failureThreshold", p.FailureThreshold},
	} {
		if number.value < 0 {
			errs = append(errs, field.Invalid(path.Child(number.name), number.value, "must be greater than or equal to 0"))
		}
	}
	if once && p.SuccessThreshold > 1 {
		errs = append(errs, field.Invalid(path.Child("successThreshold"), p.SuccessThreshold, "must be 1"))
	}
	return errs
}
