// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/wrappers"
)

// TestCreateValidation holds the cases of upstream's TestValidateReplicaSet (pkg/apis/apps/validation) that the
// definition's schema and CEL rules refuse. The API server must name the field.
func TestCreateValidation(t *testing.T) {
	namespace := newNamespace(t)
	requirement := func(operator metav1.LabelSelectorOperator, values ...string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "app", Operator: operator, Values: values},
		}}
	}
	const labelsPath = "spec.template.metadata.labels: "
	tests := map[string]struct {
		change      func(*wrappers.TeachingReplicaSetWrapper)
		wantRefused string
	}{
		"as made":           {change: func(*wrappers.TeachingReplicaSetWrapper) {}},
		"no replicas":       {change: func(w *wrappers.TeachingReplicaSetWrapper) { w.Replicas(0) }},
		"negative replicas": {change: func(w *wrappers.TeachingReplicaSetWrapper) { w.Replicas(-1) }, wantRefused: "spec.replicas: Invalid value: -1"},
		"negative minReadySeconds": {
			change:      func(w *wrappers.TeachingReplicaSetWrapper) { w.MinReadySeconds(-1) },
			wantRefused: "spec.minReadySeconds: Invalid value: -1",
		},
		"empty selector": {
			change:      func(w *wrappers.TeachingReplicaSetWrapper) { w.Selector(metav1.LabelSelector{}) },
			wantRefused: "spec.selector: Required value: an empty selector",
		},
		"matchLabels that the template lacks": {
			change:      func(w *wrappers.TeachingReplicaSetWrapper) { w.TemplateLabels(map[string]string{"other": "x"}) },
			wantRefused: labelsPath + "Invalid value",
		},
		"matchLabels with another value": {
			change:      func(w *wrappers.TeachingReplicaSetWrapper) { w.TemplateLabels(map[string]string{"app": "x"}) },
			wantRefused: labelsPath + "Invalid value",
		},
		"no template labels": {
			change:      func(w *wrappers.TeachingReplicaSetWrapper) { w.TemplateLabels(nil) },
			wantRefused: labelsPath + "Invalid value",
		},
		"In matches": {change: func(w *wrappers.TeachingReplicaSetWrapper) {
			w.Selector(requirement("In", "a", "b")).TemplateLabels(map[string]string{"app": "b"})
		}},
		"In does not match": {
			change: func(w *wrappers.TeachingReplicaSetWrapper) {
				w.Selector(requirement("In", "a", "b")).TemplateLabels(map[string]string{"app": "c"})
			},
			wantRefused: labelsPath + "Invalid value",
		},
		"NotIn matches": {change: func(w *wrappers.TeachingReplicaSetWrapper) {
			w.Selector(requirement("NotIn", "a")).TemplateLabels(map[string]string{"app": "b"})
		}},
		"NotIn does not match": {
			change: func(w *wrappers.TeachingReplicaSetWrapper) {
				w.Selector(requirement("NotIn", "a")).TemplateLabels(map[string]string{"app": "a"})
			},
			wantRefused: labelsPath + "Invalid value",
		},
		"Exists does not match": {
			change: func(w *wrappers.TeachingReplicaSetWrapper) {
				w.Selector(requirement("Exists")).TemplateLabels(map[string]string{"other": "a"})
			},
			wantRefused: labelsPath + "Invalid value",
		},
		"DoesNotExist does not match": {
			change:      func(w *wrappers.TeachingReplicaSetWrapper) { w.Selector(requirement("DoesNotExist")) },
			wantRefused: labelsPath + "Invalid value",
		},
		"In without values": {
			change:      func(w *wrappers.TeachingReplicaSetWrapper) { w.Selector(requirement("In")) },
			wantRefused: "spec.selector.matchExpressions: Invalid value",
		},
		"unknown operator": {
			change:      func(w *wrappers.TeachingReplicaSetWrapper) { w.Selector(requirement("Like", "a")) },
			wantRefused: "spec.selector.matchExpressions: Invalid value",
		},
		"restartPolicy Always": {change: func(w *wrappers.TeachingReplicaSetWrapper) {
			w.Template(func(s *corev1.PodSpec) { s.RestartPolicy = corev1.RestartPolicyAlways })
		}},
		"restartPolicy OnFailure": {
			change: func(w *wrappers.TeachingReplicaSetWrapper) {
				w.Template(func(s *corev1.PodSpec) { s.RestartPolicy = corev1.RestartPolicyOnFailure })
			},
			wantRefused: "spec.template.spec.restartPolicy: Invalid value",
		},
		"activeDeadlineSeconds": {
			change: func(w *wrappers.TeachingReplicaSetWrapper) {
				w.Template(func(s *corev1.PodSpec) { s.ActiveDeadlineSeconds = ptr.To[int64](5) })
			},
			wantRefused: "spec.template.spec.activeDeadlineSeconds: Forbidden",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := wrappers.MakeTeachingReplicaSet(namespace, "web")
			tc.change(w)
			checkRefused(t, k8sClient.Create(t.Context(), w.Obj(), dryRun), tc.wantRefused)
		})
	}
}

// TestUpdateValidation covers upstream's ValidateReplicaSetUpdate.
func TestUpdateValidation(t *testing.T) {
	namespace := newNamespace(t)
	tests := map[string]struct {
		change      func(*podtrailv1alpha1.TeachingReplicaSet)
		wantRefused string
	}{
		"template image": {change: func(o *podtrailv1alpha1.TeachingReplicaSet) {
			o.Spec.Template.Spec.Containers[0].Image = "registry.example/app:2"
		}},
		"selector, with the template's labels": {
			change: func(o *podtrailv1alpha1.TeachingReplicaSet) {
				o.Spec.Selector.MatchLabels = map[string]string{"app": "other"}
				o.Spec.Template.Labels = map[string]string{"app": "other"}
			},
			wantRefused: "spec.selector: Invalid value: field is immutable",
		},
		"template's labels away from the selector": {
			change: func(o *podtrailv1alpha1.TeachingReplicaSet) {
				o.Spec.Template.Labels = map[string]string{"app": "other"}
			},
			wantRefused: "spec.template.metadata.labels: Invalid value",
		},
		"negative replicas": {
			change:      func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Spec.Replicas = ptr.To[int32](-2) },
			wantRefused: "spec.replicas: Invalid value: -2",
		},
	}
	obj := wrappers.MakeTeachingReplicaSet(namespace, "web").Obj()
	create(t.Context(), t, obj)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			changed := obj.DeepCopy()
			tc.change(changed)
			checkRefused(t, k8sClient.Update(t.Context(), changed, dryRun), tc.wantRefused)
		})
	}
}

// TestReplicasDefault checks that replicas left out are 1, as upstream's SetDefaults_ReplicaSet makes them.
func TestReplicasDefault(t *testing.T) {
	obj := wrappers.MakeTeachingReplicaSet(newNamespace(t), "web").Obj()
	obj.Spec.Replicas = nil
	create(t.Context(), t, obj)
	if got := ptr.Deref(obj.Spec.Replicas, -1); got != 1 {
		t.Errorf("spec.replicas is %d, want 1", got)
	}
}

func checkRefused(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("Refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("Accepted, want a refusal with %q", want)
	case want != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want)):
		t.Errorf("Refused with %q, want Invalid with %q", err, want)
	}
}
