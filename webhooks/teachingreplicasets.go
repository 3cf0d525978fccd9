// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/mutation"
	"podtrail.dev/podtrail/webhooks/validation"
	"podtrail.dev/podtrail/webhooks/verdict"
)

var teachingReplicaSetKind = metav1.GroupVersionKind{
	Group: podtrailv1alpha1.GroupVersion.Group, Version: podtrailv1alpha1.GroupVersion.Version, Kind: "TeachingReplicaSet",
}

// teachingReplicaSetDefaulter serves default.teachingreplicasets.podtrail.dev.
type teachingReplicaSetDefaulter struct{}

var _ admission.Handler = teachingReplicaSetDefaulter{}

// Handle answers with a patch.
func (teachingReplicaSetDefaulter) Handle(ctx context.Context, req admission.Request) admission.Response {
	trs, _, err := decodeTeachingReplicaSets(req)
	if err != nil {
		return unreadable(verdict.TeachingReplicaSetDefaults, err)
	}
	d := mutation.TeachingReplicaSet(trs)
	logVerdict(ctx, d.Verdict, req)
	return mutated(d)
}

// teachingReplicaSetValidator serves validate.teachingreplicasets.podtrail.dev.
type teachingReplicaSetValidator struct{}

var _ admission.Handler = teachingReplicaSetValidator{}

// Handle allows or denies.
func (teachingReplicaSetValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	trs, old, err := decodeTeachingReplicaSets(req)
	if err != nil {
		return unreadable(verdict.TeachingReplicaSetTemplate, err)
	}
	d := validation.TeachingReplicaSet(trs, old)
	logVerdict(ctx, d.Verdict, req)
	return validated(d)
}

// decodeTeachingReplicaSets reads the object and, on update, the stored one.
func decodeTeachingReplicaSets(req admission.Request) (trs, old *podtrailv1alpha1.TeachingReplicaSet, err error) {
	if err := expectKind(req.Kind, teachingReplicaSetKind); err != nil {
		return nil, nil, err
	}
	trs = &podtrailv1alpha1.TeachingReplicaSet{}
	if err := decode(req.Object, "the TeachingReplicaSet", trs); err != nil {
		return nil, nil, err
	}
	if req.Operation != admissionv1.Update {
		return trs, nil, nil
	}
	old = &podtrailv1alpha1.TeachingReplicaSet{}
	if err := decode(req.OldObject, "the stored TeachingReplicaSet", old); err != nil {
		return nil, nil, err
	}
	return trs, old, nil
}
