// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/verdict"
)

// DecideTeachingReplicaSet sets the only restart policy that its Pods can have, as defaulting does for a built-in
// ReplicaSet. The CRD's schema cannot do this: the template's type is Kubernetes' own and has no default there.
func DecideTeachingReplicaSet(trs *podtrailv1alpha1.TeachingReplicaSet) Decision {
	d := Decision{Verdict: verdict.Verdict{Rule: verdict.TeachingReplicaSetDefaults, Outcome: verdict.Unchanged, Reason: "nothing was left to default"}}
	spec := &trs.Spec.Template.Spec
	if spec.RestartPolicy == "" && len(spec.Containers) > 0 {
		d.change("spec.template.spec.restartPolicy", jsonpatch.NewOperation("add", "/spec/template/spec/restartPolicy", corev1.RestartPolicyAlways))
		d.Verdict.Reason = "spec.template.spec.restartPolicy set to Always, the only policy that its Pods can have"
	}
	return d
}
