// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"testing"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

func TestKeep(t *testing.T) {
	const trs = "apps.podtrail.dev"
	tests := map[string]struct {
		verb, group, resource, subresource string
		stage                              auditv1.Stage
		uri                                string
		noObject                           bool
		want                               bool
	}{
		"a Pod is created":                             {verb: "create", resource: "pods", want: true},
		"a Pod's status is patched":                    {verb: "patch", resource: "pods", subresource: "status", want: true},
		"a Pod is bound":                               {verb: "create", resource: "pods", subresource: "binding", want: true},
		"a Pod is bound the older way":                 {verb: "create", resource: "bindings", want: true},
		"a Pod is evicted":                             {verb: "create", resource: "pods", subresource: "eviction", want: true},
		"a Pod is resized":                             {verb: "patch", resource: "pods", subresource: "resize", want: true},
		"a Pod gets an ephemeral container":            {verb: "patch", resource: "pods", subresource: "ephemeralcontainers", want: true},
		"a Pod is deleted":                             {verb: "delete", resource: "pods", want: true},
		"Pods are deleted together":                    {verb: "deletecollection", resource: "pods", want: true},
		"a request panicked":                           {verb: "create", resource: "pods", stage: auditv1.StagePanic, want: true},
		"a Deployment is updated":                      {verb: "update", group: "apps", resource: "deployments", want: true},
		"a ReplicaSet is scaled":                       {verb: "update", group: "apps", resource: "replicasets", subresource: "scale", want: true},
		"a TeachingReplicaSet's status":                {verb: "update", group: trs, resource: "teachingreplicasets", subresource: "status", want: true},
		"a Node's status is patched":                   {verb: "patch", resource: "nodes", subresource: "status", want: true},
		"a Node is tainted":                            {verb: "patch", resource: "nodes", want: true},
		"a write with other parameters":                {verb: "create", resource: "pods", uri: "/api/v1/namespaces/n/pods?fieldManager=dryRun%3D", want: true},
		"a dry run":                                    {verb: "create", resource: "pods", uri: "/api/v1/namespaces/n/pods?dryRun=All&fieldManager=me"},
		"a request that only came in":                  {verb: "create", resource: "pods", stage: auditv1.StageRequestReceived},
		"a Pod is read":                                {verb: "get", resource: "pods"},
		"Pods are listed":                              {verb: "list", resource: "pods"},
		"Pods are watched":                             {verb: "watch", resource: "pods", stage: auditv1.StageResponseStarted},
		"a command runs in a Pod":                      {verb: "create", resource: "pods", subresource: "exec"},
		"a person attaches to a Pod":                   {verb: "create", resource: "pods", subresource: "attach"},
		"a Secret is created":                          {verb: "create", resource: "secrets"},
		"a Secret is patched":                          {verb: "patch", resource: "secrets"},
		"a ConfigMap is updated":                       {verb: "update", resource: "configmaps"},
		"a token is made":                              {verb: "create", resource: "serviceaccounts", subresource: "token"},
		"a person asks who it is":                      {verb: "create", group: "authentication.k8s.io", resource: "selfsubjectreviews"},
		"a token is reviewed":                          {verb: "create", group: "authentication.k8s.io", resource: "tokenreviews"},
		"a lease is renewed":                           {verb: "update", group: "coordination.k8s.io", resource: "leases"},
		"a StatefulSet is created":                     {verb: "create", group: "apps", resource: "statefulsets"},
		"something else that calls itself pods":        {verb: "create", group: "metrics.k8s.io", resource: "pods"},
		"something else that calls itself deployments": {verb: "create", group: "example.com", resource: "deployments"},
		"a request for no object":                      {verb: "create", noObject: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e := event{Verb: tc.verb, Stage: auditv1.StageResponseComplete, RequestURI: tc.uri}
			if tc.stage != "" {
				e.Stage = tc.stage
			}
			if !tc.noObject {
				e.ObjectRef = &objectReference{APIGroup: tc.group, Resource: tc.resource, Subresource: tc.subresource}
			}
			if got := keep(e); got != tc.want {
				t.Errorf("keep is %v, want %v", got, tc.want)
			}
		})
	}
}

// TestAbout: what is known to be of one Pod is told apart from what may be of any.
func TestAbout(t *testing.T) {
	at := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		line string
		want buffer.About
	}{
		"a write of a Pod": {
			line: `"verb":"patch","objectRef":{"resource":"pods","subresource":"status","namespace":"demo","name":"web-1"}`,
			want: buffer.About{Namespace: "demo", Pod: "web-1", Time: at},
		},
		"a creation that the API server named": {
			line: `"verb":"create","objectRef":{"resource":"pods","namespace":"demo"},"responseObject":{"metadata":{"name":"web-1"}}`,
			want: buffer.About{Namespace: "demo", Pod: "web-1", Time: at},
		},
		"a creation whose answer is not kept": {
			line: `"verb":"create","objectRef":{"resource":"pods","namespace":"demo"}`,
			want: buffer.About{Namespace: "demo", Time: at},
		},
		"a creation that was refused": {
			line: `"verb":"create","objectRef":{"resource":"pods","namespace":"demo"},"responseObject":{"kind":"Status","metadata":{}}`,
			want: buffer.About{Namespace: "demo", Time: at},
		},
		"a deletion of many, whose answer is a list": {
			line: `"verb":"deletecollection","objectRef":{"resource":"pods","namespace":"demo"},"responseObject":{"metadata":{}}`,
			want: buffer.About{Namespace: "demo", Time: at},
		},
		"another kind": {
			line: `"verb":"create","objectRef":{"apiGroup":"apps","resource":"deployments","namespace":"demo","name":"web"}`,
			want: buffer.About{Namespace: "demo", Time: at},
		},
		"a Binding sent the older way": {
			line: `"verb":"create","objectRef":{"resource":"bindings","namespace":"demo","name":"web-1"}`,
			want: buffer.About{Namespace: "demo", Time: at},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := parse([]byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stageTimestamp":"2026-05-04T10:00:00Z",` + tc.line + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if got := about(e); got != tc.want {
				t.Errorf("about %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestProbe: of doctor's request only that it arrived is remembered, and of no other not even that.
func TestProbe(t *testing.T) {
	const mine = source.ProbePrefix + "0a6d6a1c-0c3f-4b6e-9d5e-1b8f6d1c2e3f"
	review := &objectReference{APIGroup: "authentication.k8s.io", Resource: "selfsubjectreviews"}
	done := auditv1.StageResponseComplete
	for name, tc := range map[string]struct {
		event event
		want  bool
	}{
		"doctor's request":            {event{AuditID: mine, Stage: done, Verb: "create", ObjectRef: review}, true},
		"kubectl auth whoami":         {event{AuditID: "0a6d6a1c-0c3f-4b6e-9d5e-1b8f6d1c2e3f", Stage: done, Verb: "create", ObjectRef: review}, false},
		"a request that only came in": {event{AuditID: mine, Stage: auditv1.StageRequestReceived, Verb: "create", ObjectRef: review}, false},
		"another verb":                {event{AuditID: mine, Stage: done, Verb: "get", ObjectRef: review}, false},
		"another resource":            {event{AuditID: mine, Stage: done, Verb: "create", ObjectRef: &objectReference{APIGroup: "authentication.k8s.io", Resource: "tokenreviews"}}, false},
		"another group":               {event{AuditID: mine, Stage: done, Verb: "create", ObjectRef: &objectReference{APIGroup: "example.com", Resource: "selfsubjectreviews"}}, false},
		"a request for no object":     {event{AuditID: mine, Stage: done, Verb: "create"}, false},
	} {
		if got := isProbe(tc.event); got != tc.want {
			t.Errorf("%s is one of doctor's: %v, want %v", name, got, tc.want)
		}
	}
	f := New("/nowhere/audit.log", evidence.New(source.Audit, "cp", 1<<20))
	f.take([]byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"` + mine + `","stage":"ResponseComplete","verb":"create",` +
		`"requestReceivedTimestamp":"2026-05-04T10:00:00.25Z","objectRef":{"resource":"selfsubjectreviews","apiGroup":"authentication.k8s.io"}}`))
	got := f.Status()
	if len(got.Probes) != 1 || got.Probes[0].AuditID != mine || !got.Probes[0].Received.Equal(time.Date(2026, 5, 4, 10, 0, 0, 250e6, time.UTC)) || got.Kept != 0 {
		t.Errorf("%d records kept, want none; probes %+v, want one that was received at 10:00:00.25", got.Kept, got.Probes)
	}
}
