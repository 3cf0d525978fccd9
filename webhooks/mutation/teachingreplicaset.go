// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/verdict"
)

// TeachingReplicaSet writes down the one restart policy that its Pods can have,
// as defaulting does for a built-in ReplicaSet. The CRD's schema can't: the
// template's type is Kubernetes' own and carries no default there.
func TeachingReplicaSet(trs *podtrailv1alpha1.TeachingReplicaSet) Decision {
	v := verdict.Verdict{Rule: verdict.TeachingReplicaSetDefaults, Outcome: verdict.Unchanged, Reason: "nothing was left to default"}
	spec := &trs.Spec.Template.Spec
	if spec.RestartPolicy != "" || len(spec.Containers) == 0 {
		return Decision{Verdict: v}
	}
	v.Outcome = verdict.Mutated
	v.Reason = "spec.template.spec.restartPolicy set to Always"
	return Decision{
		Verdict: v,
		Patches: []jsonpatch.Operation{jsonpatch.NewOperation("add", "/spec/template/spec/restartPolicy", corev1.RestartPolicyAlways)},
	}
}
