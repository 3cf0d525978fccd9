// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"

	"podtrail.dev/podtrail/test/admission"
)

// TestTemplatesAsTheAPIServer asks a real API server for a Pod of each template:
// it must refuse the fields that the functions refuse, and those that the table
// says are missed, and no others.
func TestTemplatesAsTheAPIServer(t *testing.T) {
	namespace := newNamespace(t)
	for _, c := range templates(t) {
		t.Run(c.Name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: *c.Spec.ObjectMeta.DeepCopy(), Spec: *c.Spec.Spec.DeepCopy()}
			pod.Namespace, pod.GenerateName = namespace, "web-"
			want := sets.New(c.Fields...).Insert(c.Missed...)
			got := refusedFields(t, k8sClient.Create(t.Context(), pod, dryRun))
			if diff := cmp.Diff(sets.List(want), sets.List(got)); diff != "" {
				t.Errorf("fields that the API server refuses (-table +API server):\n%s", diff)
			}
		})
	}
}

// TestTemplatesByRule asks for TeachingReplicaSets, of the webhooks and of the policies.
func TestTemplatesByRule(t *testing.T) {
	t.Run("webhook", func(t *testing.T) {
		startWebhooks(t)
		namespace := demoNamespace(t)
		for _, c := range templates(t) {
			t.Run(c.Name, func(t *testing.T) { checkTemplate(t, namespace, &c, len(c.Fields) > 0) })
		}
	})
	t.Run("policy", func(t *testing.T) {
		installPolicies(t)
		namespace := demoNamespace(t)
		for _, c := range templates(t) {
			denied := len(c.Fields) > 0
			if c.Policy != nil {
				denied = c.Policy.Verdict == admission.Denied
			}
			t.Run(c.Name, func(t *testing.T) { checkTemplate(t, namespace, &c, denied) })
		}
	})
}

func templates(t *testing.T) []admission.Template {
	t.Helper()
	cases, err := admission.Templates()
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func checkTemplate(t *testing.T, namespace string, c *admission.Template, denied bool) {
	t.Helper()
	trs := c.TeachingReplicaSet()
	trs.Namespace = namespace
	err := k8sClient.Create(t.Context(), trs, dryRun)
	switch {
	case c.Schema:
		if !apierrors.IsInvalid(err) {
			t.Errorf("answer is %v, want the schema's refusal", err)
		}
	case denied:
		expectRefused(t, err, "rule trs-template: no Pods could be made from this template")
	case err != nil:
		t.Errorf("refused: %v", err)
	case trs.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyAlways:
		t.Errorf("restartPolicy is %q, want the default Always", trs.Spec.Template.Spec.RestartPolicy)
	}
}

// refusedFields returns the fields that the API server's own validation names.
func refusedFields(t *testing.T, err error) sets.Set[string] {
	t.Helper()
	fields := sets.New[string]()
	var status apierrors.APIStatus
	switch {
	case err == nil:
	case apierrors.IsInvalid(err) && errors.As(err, &status):
		for _, cause := range status.Status().Details.Causes {
			fields.Insert(cause.Field)
		}
	default:
		t.Errorf("refused otherwise: %v", err)
	}
	return fields
}
