// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
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
	d := mutation.DecideTeachingReplicaSet(trs)
	logVerdict(ctx, d.Verdict, req)
	return mutated(d)
}

// readTimeLimit bounds how long an answer waits for the other objects of the namespace. They are used only for
// warnings, so they are not worth a delayed request. A cache answers at once, except while it is being filled.
const readTimeLimit = 250 * time.Millisecond

// teachingReplicaSetValidator serves validate.teachingreplicasets.podtrail.dev.
type teachingReplicaSetValidator struct {
	reader client.Reader
}

var _ admission.Handler = teachingReplicaSetValidator{}

// Handle allows or denies.
func (h teachingReplicaSetValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	trs, old, err := decodeTeachingReplicaSets(req)
	if err != nil {
		return unreadable(verdict.TeachingReplicaSetTemplate, err)
	}
	request := validation.TeachingReplicaSetRequest{Object: trs, Old: old, Others: h.others(ctx, req.Namespace)}
	d := validation.DecideTeachingReplicaSet(request)
	logVerdict(ctx, d.Verdict, req)
	return validated(d)
}

// others returns the TeachingReplicaSets of the namespace, or none if they cannot be read in time.
func (h teachingReplicaSetValidator) others(ctx context.Context, namespace string) []podtrailv1alpha1.TeachingReplicaSet {
	if h.reader == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeLimit)
	defer cancel()
	var list podtrailv1alpha1.TeachingReplicaSetList
	if err := h.reader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		logf.FromContext(ctx).V(1).Info("Skipped the check for overlapping selectors", "reason", err.Error())
		return nil
	}
	return list.Items
}

// decodeTeachingReplicaSets decodes the object and, on update, the stored one.
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
