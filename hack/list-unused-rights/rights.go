// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// right is the smallest thing that RBAC grants: one verb on one resource, or on one URL.
type right struct {
	role      string // its kind and name
	namespace string // where it holds; "" is the whole cluster
	verb      string
	group     string
	resource  string // with its subresource, such as pods/status
	name      string // the only object; "" is all of them
	url       string // instead of a resource
}

// String is what is printed, and what the file of exceptions names: "update pods/status", "get leases.coordination.k8s.io
// podtrail-manager in podtrail-system".
func (r right) String() string {
	if r.url != "" {
		return r.verb + " " + r.url
	}
	text := r.verb + " " + r.resource
	if r.group != "" {
		text += "." + r.group
	}
	if r.name != "" {
		text += " " + r.name
	}
	if r.namespace != "" {
		text += " in " + r.namespace
	}
	return text
}

// allows tells whether a request needed this right, or could have been allowed by it.
// Mirrors RuleAllows in k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac.
func (r right) allows(e *auditv1.Event) bool {
	if !matches(r.verb, e.Verb) {
		return false
	}
	if e.ObjectRef == nil || r.url != "" {
		return e.ObjectRef == nil && r.url != "" && r.allowsPath(e.RequestURI)
	}
	return r.allowsObject(e.ObjectRef)
}

func (r right) allowsPath(uri string) bool {
	path, _, _ := strings.Cut(uri, "?")
	prefix, isPrefix := strings.CutSuffix(r.url, "*")
	return path == r.url || isPrefix && strings.HasPrefix(path, prefix)
}

func (r right) allowsObject(o *auditv1.ObjectReference) bool {
	resource := o.Resource
	if o.Subresource != "" {
		resource += "/" + o.Subresource
	}
	return matches(r.group, o.APIGroup) &&
		(matches(r.resource, resource) || o.Subresource != "" && r.resource == "*/"+o.Subresource) &&
		(r.name == "" || r.name == o.Name) && (r.namespace == "" || r.namespace == o.Namespace)
}

func matches(granted, asked string) bool { return granted == asked || granted == rbacv1.ResourceAll }

// danger says why no part of podtrail may have this right, or "".
func (r right) danger() string {
	switch {
	case slices.Contains([]string{r.verb, r.group, r.resource}, rbacv1.ResourceAll) || strings.HasPrefix(r.resource, "*/"):
		return "a wildcard"
	case slices.Contains([]string{"escalate", "bind", "impersonate"}, r.verb):
		return "a way to other rights"
	case r.group == "" && r.resource == "secrets" && r.namespace == "":
		return "the Secrets of the whole cluster"
	}
	return ""
}

// bindings are all roles of a cluster and who has them.
type bindings struct {
	clusterRoles        []rbacv1.ClusterRole
	roles               []rbacv1.Role
	clusterRoleBindings []rbacv1.ClusterRoleBinding
	roleBindings        []rbacv1.RoleBinding
}

// granted returns the rights that are bound to the service account by name. What all accounts have, such as discovery,
// is not among them.
func (b bindings) granted(a account) ([]right, error) {
	var all []right
	add := func(ref rbacv1.RoleRef, namespace string) error {
		rules, err := b.rules(ref, namespace)
		for _, rule := range rules {
			all = append(all, expand(rule, ref.Kind+" "+ref.Name, namespace)...)
		}
		return err
	}
	for _, binding := range b.clusterRoleBindings {
		if a.isAmong(binding.Subjects, "") {
			if err := add(binding.RoleRef, ""); err != nil {
				return nil, fmt.Errorf("ClusterRoleBinding %s: %w", binding.Name, err)
			}
		}
	}
	for _, binding := range b.roleBindings {
		if a.isAmong(binding.Subjects, binding.Namespace) {
			if err := add(binding.RoleRef, binding.Namespace); err != nil {
				return nil, fmt.Errorf("RoleBinding %s/%s: %w", binding.Namespace, binding.Name, err)
			}
		}
	}
	return all, nil
}

func (b bindings) rules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	for _, role := range b.clusterRoles {
		if ref.Kind == "ClusterRole" && role.Name == ref.Name {
			return role.Rules, nil
		}
	}
	for _, role := range b.roles {
		if ref.Kind == "Role" && role.Name == ref.Name && role.Namespace == namespace {
			return role.Rules, nil
		}
	}
	return nil, fmt.Errorf("there is no %s %s", ref.Kind, ref.Name)
}

// expand takes a rule apart.
func expand(rule rbacv1.PolicyRule, role, namespace string) []right {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var all []right
	for _, verb := range rule.Verbs {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					all = append(all, right{role: role, namespace: namespace, verb: verb, group: group, resource: resource, name: name})
				}
			}
		}
		for _, url := range rule.NonResourceURLs {
			all = append(all, right{role: role, namespace: namespace, verb: verb, url: url})
		}
	}
	return all
}

// account is a service account.
type account struct{ namespace, name string }

func (a account) String() string { return a.namespace + "/" + a.name }

// user is the account's name in the audit log.
func (a account) user() string { return "system:serviceaccount:" + a.namespace + ":" + a.name }

// isAmong tells whether the account is named; in a binding of a namespace, that one is meant if none is given.
func (a account) isAmong(subjects []rbacv1.Subject, namespace string) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		inNamespace := s.Namespace
		if inNamespace == "" {
			inNamespace = namespace
		}
		return s.Kind == rbacv1.ServiceAccountKind && s.Name == a.name && inNamespace == a.namespace
	})
}
