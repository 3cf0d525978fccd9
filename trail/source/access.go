// SPDX-License-Identifier: Apache-2.0

package source

import (
	"regexp"
	"slices"
	"strings"

	"podtrail.dev/podtrail/trail"
)

// Keys of the API server's annotations and user extras, as in k8s.io/apiserver pkg/endpoints/filters/authorization.go
// and pkg/authentication/user.
const (
	decisionKey   = "authorization.k8s.io/decision"
	reasonKey     = "authorization.k8s.io/reason"
	credentialKey = "authentication.kubernetes.io/credential-id" // #nosec G101 -- the name of a key, not a credential
	podNameKey    = "authentication.kubernetes.io/pod-name"
	nodeNameKey   = "authentication.kubernetes.io/node-name"

	serviceAccountPrefix = "system:serviceaccount:"
	nodePrefix           = "system:node:"
)

// authenticate tells who sent the request and with which credential.
func (w *write) authenticate() trail.Observation {
	user := w.event.User
	credential := extra(user.Extra[credentialKey])
	parts := []string{person(user.Username)}
	if groups := tellingGroups(user.Groups); len(groups) > 0 {
		parts = append(parts, "group "+strings.Join(groups, ", "))
	}
	if credential != "" {
		parts = append(parts, shortCredential(credential))
	}
	impersonated := ""
	if w.event.ImpersonatedUser != nil {
		impersonated = w.event.ImpersonatedUser.Username
		parts = append(parts, "acting as "+impersonated)
	}
	return w.observe(trail.Authenticate, strings.Join(parts, ", "),
		trail.Fact{Key: "user", Value: user.Username},
		trail.Fact{Key: "groups", Value: strings.Join(user.Groups, ", ")},
		trail.Fact{Key: "credential", Value: credential},
		trail.Fact{Key: "impersonated user", Value: impersonated},
		trail.Fact{Key: "token's Pod", Value: extra(user.Extra[podNameKey])},
		trail.Fact{Key: "token's node", Value: extra(user.Extra[nodeNameKey])},
	)
}

func extra(values []string) string { return strings.Join(values, ", ") }

// person writes a user as a learner knows it.
func person(user string) string {
	if account, ok := strings.CutPrefix(user, serviceAccountPrefix); ok {
		return "service account " + strings.Replace(account, ":", "/", 1)
	}
	if user == "" {
		return "nobody that the API server knows"
	}
	return user
}

// tellingGroups leaves out the groups that every user or service account has.
func tellingGroups(groups []string) []string {
	var out []string
	for _, group := range groups {
		if group != "system:authenticated" && !strings.HasPrefix(group, "system:serviceaccounts") {
			out = append(out, group)
		}
	}
	return out
}

// shortCredential turns X509SHA256=<hash> and JTI=<id> into words, with as much of the id as tells it apart.
func shortCredential(credential string) string {
	kind, id, _ := strings.Cut(credential, "=")
	if len(id) > 8 {
		id = id[:8] + "…"
	}
	switch kind {
	case "X509SHA256":
		return "client certificate " + id
	case "JTI":
		return "token " + id
	}
	return "credential " + id
}

// allowedBy matches the reason that RBAC gives, see plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac/validation.
var allowedBy = regexp.MustCompile(
	`^RBAC: allowed by (ClusterRoleBinding|RoleBinding) "([^"]+)" of (ClusterRole|Role) "([^"]+)" to (\w+) "([^"]+)"`)

// authorize tells the decision and what made it.
func (w *write) authorize() trail.Observation {
	decision, reason := w.event.Annotations[decisionKey], w.event.Annotations[reasonKey]
	facts := []trail.Fact{{Key: "decision", Value: decision}, {Key: "reason", Value: reason}}
	var summary string
	switch match := allowedBy.FindStringSubmatch(reason); {
	case match != nil:
		role := match[4]
		if match[2] == match[4] {
			role = "of that name"
		}
		summary = "allowed by " + match[1] + " " + rbacName(match[2]) + " → " + match[3] + " " + role
		facts = append(facts, trail.Fact{Key: "binding", Value: match[1] + " " + rbacName(match[2])},
			trail.Fact{Key: "role", Value: match[3] + " " + match[4]},
			trail.Fact{Key: "bound to", Value: match[5] + " " + rbacName(match[6])})
	case decision == "":
		return w.unknown(trail.Authorize, "the audit event holds no decision",
			"the API server's flag --authorization-mode must not be AlwaysAllow")
	case decision != "allow":
		summary = "denied: no rule allows " + w.event.Verb + " " + w.event.ObjectRef.Resource
	case reason != "":
		summary = "allowed: " + reason
	case slices.Contains(w.event.User.Groups, "system:masters"):
		summary = "allowed: group system:masters may do everything, RBAC is not asked"
		facts = append(facts, trail.Fact{Key: "authorizer", Value: "system:masters"})
	case strings.HasPrefix(w.event.User.Username, nodePrefix):
		summary = "allowed by the Node authorizer: a kubelet, for a Pod on its own node"
		facts = append(facts, trail.Fact{Key: "authorizer", Value: "Node authorizer"})
	default:
		summary = "allowed; the authorizer gave no reason"
	}
	return w.observe(trail.Authorize, summary, facts...)
}

// rbacName puts NAME/NAMESPACE, as RBAC's reasons have it, into the usual order.
func rbacName(name string) string {
	if first, namespace, ok := strings.Cut(name, "/"); ok {
		return namespace + "/" + first
	}
	return name
}

// unknown is an observation that only tells why the event says nothing about a stage.
func (w *write) unknown(stage trail.Stage, why, remedy string) trail.Observation {
	o := w.observe(stage, "")
	o.Missing = &trail.Missing{Source: trail.SourceAudit, Why: why, Remedy: remedy}
	return o
}
