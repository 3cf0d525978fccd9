// SPDX-License-Identifier: Apache-2.0

// Package verdict is the vocabulary of the webhooks' decisions. Every admission response carries one Verdict as
// auditAnnotations, which the API server writes into the audit event as WEBHOOK-NAME/KEY.
package verdict

import "strings"

// Keys of the audit annotations, without the webhook's name, which the API server prepends.
const (
	RuleKey    = "rule"
	OutcomeKey = "outcome"
	ReasonKey  = "reason"
	// ChangedKey is set only if the response carries a patch.
	ChangedKey = "changed"
)

// Rule is the stable name of a rule; people search audit logs for it.
type Rule string

// The rules of this project.
const (
	// PodDefaults adds the sidecar and sets the scheduler's name.
	PodDefaults Rule = "pod-defaults"
	// CPULimits requires a CPU limit for every container.
	CPULimits Rule = "cpu-limits"
	// TeachingReplicaSetDefaults sets the defaults of a TeachingReplicaSet.
	TeachingReplicaSetDefaults Rule = "trs-defaults"
	// TeachingReplicaSetTemplate checks the Pod template before Pods are made from it.
	TeachingReplicaSetTemplate Rule = "trs-template"
)

// Outcome is what a rule did to a request.
type Outcome string

// The outcomes.
const (
	// Allowed: the rule was checked and holds.
	Allowed Outcome = "allowed"
	// Denied: the rule was checked and is broken; the request is refused.
	Denied Outcome = "denied"
	// Mutated: the response carries a patch.
	Mutated Outcome = "mutated"
	// Unchanged: there was nothing to do.
	Unchanged Outcome = "unchanged"
	// Exempt: the rule does not apply to this request.
	Exempt Outcome = "exempt"
	// Invalid: the request could not be read.
	Invalid Outcome = "invalid"
)

// Verdict is one rule's decision about one request.
type Verdict struct {
	Rule    Rule
	Outcome Outcome
	// Reason is one sentence for people, without a period.
	Reason string
	// Changed names the fields that the patch sets, one for each of its operations. List entries are named by their key:
	// spec.initContainers[podtrail-proxy].
	Changed []string
}

// Annotations returns the verdict as auditAnnotations.
func (v Verdict) Annotations() map[string]string {
	annotations := map[string]string{
		RuleKey:    string(v.Rule),
		OutcomeKey: string(v.Outcome),
		ReasonKey:  v.Reason,
	}
	if len(v.Changed) > 0 {
		annotations[ChangedKey] = strings.Join(v.Changed, ", ")
	}
	return annotations
}
