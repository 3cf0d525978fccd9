// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

var manager = account{"system", "manager"}

// request is an event of the manager.
func request(verb, group, resource, namespace, name string) *auditv1.Event {
	resource, subresource, _ := strings.Cut(resource, "/")
	return &auditv1.Event{Verb: verb, ObjectRef: &auditv1.ObjectReference{
		APIGroup: group, Resource: resource, Subresource: subresource, Namespace: namespace, Name: name,
	}}
}

func TestAllows(t *testing.T) {
	cases := map[string]struct {
		right right
		event *auditv1.Event
		want  bool
	}{
		"the same":                          {right{verb: "get", resource: "pods"}, request("get", "", "pods", "a", "x"), true},
		"another verb":                      {right{verb: "get", resource: "pods"}, request("list", "", "pods", "a", ""), false},
		"another group":                     {right{verb: "get", group: "apps", resource: "pods"}, request("get", "", "pods", "a", "x"), false},
		"a subresource is not its resource": {right{verb: "update", resource: "pods"}, request("update", "", "pods/status", "a", "x"), false},
		"a subresource":                     {right{verb: "update", resource: "pods/status"}, request("update", "", "pods/status", "a", "x"), true},
		"that subresource of all resources": {right{verb: "update", resource: "*/status"}, request("update", "", "pods/status", "a", "x"), true},
		"the only name":                     {right{verb: "get", resource: "secrets", name: "x"}, request("get", "", "secrets", "a", "x"), true},
		"another name":                      {right{verb: "get", resource: "secrets", name: "x"}, request("get", "", "secrets", "a", "y"), false},
		"in the binding's namespace":        {right{verb: "get", resource: "pods", namespace: "a"}, request("get", "", "pods", "a", "x"), true},
		"in another namespace":              {right{verb: "get", resource: "pods", namespace: "a"}, request("get", "", "pods", "b", "x"), false},
		"any verb":                          {right{verb: "*", resource: "pods"}, request("get", "", "pods", "b", "x"), true},
		"a URL":                             {right{verb: "get", url: "/metrics"}, &auditv1.Event{Verb: "get", RequestURI: "/metrics?a=b"}, true},
		"below a URL":                       {right{verb: "get", url: "/v1/*"}, &auditv1.Event{Verb: "get", RequestURI: "/v1/records"}, true},
		"another URL":                       {right{verb: "get", url: "/metrics"}, &auditv1.Event{Verb: "get", RequestURI: "/healthz"}, false},
		"a URL is no resource":              {right{verb: "get", url: "/*"}, request("get", "", "pods", "b", "x"), false},
		"a resource is no URL":              {right{verb: "get", resource: "*", group: "*"}, &auditv1.Event{Verb: "get", RequestURI: "/metrics"}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.right.allows(tc.event); got != tc.want {
				t.Errorf("%s allows it: %v, want %v", tc.right, got, tc.want)
			}
		})
	}
}

func TestGranted(t *testing.T) {
	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "manager", Namespace: "system"}}
	clusterRole := rbacv1.RoleRef{Kind: "ClusterRole", Name: "all"}
	b := bindings{
		clusterRoles: []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Rules: []rbacv1.PolicyRule{
			{Verbs: []string{"get", "list"}, APIGroups: []string{""}, Resources: []string{"pods", "pods/log"}},
			{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}},
		}}},
		roles: []rbacv1.Role{
			{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "one"}, Rules: []rbacv1.PolicyRule{
				{Verbs: []string{"update"}, APIGroups: []string{"x.dev"}, Resources: []string{"things"}, ResourceNames: []string{"a", "b"}},
			}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "one"}},
		},
		clusterRoleBindings: []rbacv1.ClusterRoleBinding{
			{RoleRef: clusterRole, Subjects: subject},
			{RoleRef: clusterRole, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "manager", Namespace: "other"}}},
			{RoleRef: clusterRole, Subjects: []rbacv1.Subject{{Kind: "User", Name: "manager"}}},
		},
		roleBindings: []rbacv1.RoleBinding{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "system"}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "one"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "manager"}},
		}},
	}
	rights, err := b.granted(manager)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rights {
		got = append(got, r.String())
	}
	want := []string{"get pods", "get pods/log", "list pods", "list pods/log", "get /metrics", "update things.x.dev a in system", "update things.x.dev b in system"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("granted (-want +got):\n%s", diff)
	}
	b.clusterRoles = nil
	if _, err := b.granted(manager); err == nil || !strings.Contains(err.Error(), "there is no ClusterRole all") {
		t.Errorf("a role that is missing: %v", err)
	}
}

func TestDanger(t *testing.T) {
	cases := map[string]struct {
		right right
		want  string
	}{
		"a verb on a resource":         {right{verb: "get", resource: "pods"}, ""},
		"all verbs":                    {right{verb: "*", resource: "pods"}, "a wildcard"},
		"all groups":                   {right{verb: "get", group: "*", resource: "pods"}, "a wildcard"},
		"all resources":                {right{verb: "get", resource: "*"}, "a wildcard"},
		"all subresources of one name": {right{verb: "get", resource: "*/scale"}, "a wildcard"},
		"to bind roles":                {right{verb: "bind", group: rbacv1.GroupName, resource: "clusterroles"}, "a way to other rights"},
		"to escalate":                  {right{verb: "escalate", group: rbacv1.GroupName, resource: "roles"}, "a way to other rights"},
		"to impersonate":               {right{verb: "impersonate", resource: "users"}, "a way to other rights"},
		"all Secrets":                  {right{verb: "list", resource: "secrets"}, "the Secrets of the whole cluster"},
		"the Secrets of one namespace": {right{verb: "list", resource: "secrets", namespace: "system"}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.right.danger(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func line(user, decision, verb, resource string) string {
	return fmt.Sprintf(`{"verb":%q,"user":{"username":%q},"objectRef":{"resource":%q},"annotations":{"authorization.k8s.io/decision":%q}}`+"\n",
		verb, user, resource, decision)
}

func TestRequestsOf(t *testing.T) {
	log := line(manager.user(), "allow", "get", "pods") + line(manager.user(), "allow", "get", "pods") +
		line(manager.user(), "forbid", "list", "pods") + line("somebody", "allow", "watch", "pods")
	got, err := requestsOf([]account{manager}, strings.NewReader(log+`{"verb":"cut o`))
	if err != nil {
		t.Fatal(err)
	}
	if len(got[manager]) != 1 || got[manager][0].Verb != "get" {
		t.Errorf("got %d requests, want the one that was allowed, once: %+v", len(got[manager]), got[manager])
	}
	if _, err := requestsOf([]account{manager}, strings.NewReader("garbage\n"+log)); err == nil || !strings.Contains(err.Error(), "line 1 ") {
		t.Errorf("garbage in the middle: %v", err)
	}
}

func TestJudge(t *testing.T) {
	rights := []right{{role: "Role a", verb: "get", resource: "pods"}, {role: "Role a", verb: "list", resource: "pods"}, {role: "Role a", verb: "*", resource: "secrets"}}
	used := func(r right) bool { return r.verb != "list" }
	reason := exception{Account: "system/manager", Right: "list pods", Reason: "once a year"}
	cases := map[string]struct {
		exceptions []exception
		want       string
		wantFound  int
		wantErr    string
	}{
		"without exceptions": {nil, `system/manager: 7 requests; 3 rights, 2 used, 0 not used by an exception, 1 not used, 1 dangerous
  dangerous: * secrets (Role a): a wildcard
  not used: list pods (Role a)
`, 2, ""},
		"with an exception": {[]exception{reason, {Account: "another/account", Right: "get pods"}}, `system/manager: 7 requests; 3 rights, 2 used, 1 not used by an exception, 0 not used, 1 dangerous
  dangerous: * secrets (Role a): a wildcard
  not used, excepted: list pods: once a year
`, 1, ""},
		"an exception for what is used after all": {[]exception{{Account: "system/manager", Right: "get pods", Reason: "r"}}, `system/manager: 7 requests; 3 rights, 2 used, 0 not used by an exception, 1 not used, 1 dangerous
  dangerous: * secrets (Role a): a wildcard
  not used: list pods (Role a)
`, 2, ""},
		"an exception for what is gone":   {[]exception{{Account: "system/manager", Right: "get jobs", Reason: "r"}}, "", 0, `"get jobs" of system/manager is not needed`},
		"an exception without its reason": {[]exception{{Account: "system/manager", Right: "list pods"}}, "", 0, "has no reason"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			findings, err := judge(manager, rights, used, tc.exceptions)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("error is %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var printed strings.Builder
			if got := printFindings(&printed, manager, 7, findings); got != tc.wantFound {
				t.Errorf("%d problems, want %d", got, tc.wantFound)
			}
			if diff := cmp.Diff(tc.want, printed.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}
