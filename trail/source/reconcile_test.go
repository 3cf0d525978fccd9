// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
)

// reconcileRecord is a record of a pass over TeachingReplicaSet demo/web that has these attributes beside its names,
// and these events and requests, all as JSON.
func reconcileRecord(attributes, events, requests string) Record {
	return Record{Source: Reconcile, Data: json.RawMessage(`{"name":"Reconcile","spanID":"s1",
		"start":"2026-11-25T12:00:00Z","end":"2026-11-25T12:00:02Z","attributes":{"podtrail.controller":"teachingreplicaset",
		"k8s.namespace.name":"demo","podtrail.owner.name":"web","podtrail.owner.uid":"u1"` + attributes + `},
		"events":[` + events + `],"children":[` + requests + `]}`)}
}

func TestParseReconcile(t *testing.T) {
	owner := trail.Subject{Kind: "TeachingReplicaSet", Namespace: "demo", Name: "web", UID: "u1"}
	pod := trail.Subject{Kind: "Pod", Namespace: "demo", Name: "web-b"}
	start := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	podDeleted := `{"name":"trigger","attributes":{"podtrail.trigger.event":"Deleted","podtrail.trigger.kind":"Pod",
		"podtrail.trigger.name":"web-z"}}`
	request := func(method, more string) string {
		return `{"name":"` + method + `","spanID":"s2","start":"2026-11-25T12:00:01Z","end":"2026-11-25T12:00:02Z","attributes":{
			"http.request.method":"` + method + `","podtrail.audit_id":"a1","podtrail.request.pod":"web-b"` + more
	}
	observation := func(subject trail.Subject, id, summary string, facts ...trail.Fact) trail.Observation {
		o := trail.Observation{
			Subject: subject, Stage: trail.Reconcile, Time: start, Duration: 2 * time.Second, Summary: summary, Facts: facts,
			Evidence: trail.Evidence{Source: trail.SourceReconcile, ID: id},
		}
		if subject == pod {
			o.Keys.AuditID, o.Time, o.Duration = "a1", start.Add(time.Second), time.Second
		}
		return o
	}
	failed := func(o trail.Observation, failure trail.Failure) trail.Observation {
		o.Failure = &failure
		return o
	}
	tests := map[string]struct {
		record Record
		want   []trail.Observation
	}{
		"creates Pods in batches": {
			record: reconcileRecord(`,"podtrail.plan.desired":4,"podtrail.plan.current":1,
				"podtrail.plan.create":["web-a","web-b","web-c"],"podtrail.plan.batches":[1,2],"podtrail.queue.seconds":0.25,
				"podtrail.cache.pods.resource_version":"70","podtrail.written.pods.resource_version":"68"`,
				podDeleted, request("POST", `,"http.response.status_code":201}}`)),
			want: []trail.Observation{
				observation(owner, "s1", "teachingreplicaset wants 4 and counts 1: creates 3",
					trail.Fact{Key: "ran because", Value: "deleted: Pod web-z"},
					trail.Fact{Key: "waited in the queue", Value: "250ms"},
					trail.Fact{Key: "plan", Value: "wants 4 and counts 1"},
					trail.Fact{Key: "creates", Value: "web-a, web-b, web-c"},
					trail.Fact{Key: "in batches of", Value: "1, 2"},
					trail.Fact{Key: "cache of Pods", Value: "70, last written 68"}),
				observation(pod, "s2", "creation asked by TeachingReplicaSet web, which wants 4 and counts 1",
					trail.Fact{Key: "ran because", Value: "deleted: Pod web-z"},
					trail.Fact{Key: "batch", Value: "2 of 2, of 2 at the same time"}),
			},
		},
		"deletes a Pod and is refused": {
			record: func() Record {
				r := reconcileRecord(`,"podtrail.plan.desired":0,"podtrail.plan.current":1,
					"podtrail.plan.delete":["web-b"],"podtrail.plan.delete.rules":["not ready"]`, "",
					request("DELETE", `,"http.response.status_code":403},"error":"Forbidden"}`))
				r.Data = json.RawMessage(strings.Replace(string(r.Data), `"spanID":"s1"`, `"spanID":"s1","error":"deleting Pod web-b: no"`, 1))
				return r
			}(),
			want: []trail.Observation{
				failed(observation(owner, "s1", "teachingreplicaset wants 0 and counts 1: deletes 1",
					trail.Fact{Key: "ran because", Value: "an earlier pass asked for it"},
					trail.Fact{Key: "plan", Value: "wants 0 and counts 1"},
					trail.Fact{Key: "deletes", Value: "web-b (not ready)"}),
					trail.Failure{Reason: "ReconcileError", Message: "deleting Pod web-b: no"}),
				failed(observation(pod, "s2", "deletion asked by TeachingReplicaSet web, which wants 0 and counts 1",
					trail.Fact{Key: "ran because", Value: "an earlier pass asked for it"},
					trail.Fact{Key: "chosen because", Value: "not ready"}),
					trail.Failure{Reason: "RequestFailed", Message: "Forbidden", Code: 403}),
			},
		},
		"waits for its own writes": {
			record: reconcileRecord(`,"podtrail.plan.desired":4,"podtrail.plan.current":1,"podtrail.plan.hold":"Pending",
				"podtrail.expected.creations":["web-a"],"podtrail.expected.deletions":["u9"],"podtrail.requeue.seconds":300`, "", ""),
			want: []trail.Observation{observation(owner, "s1", "teachingreplicaset wants 4 and counts 1: holds, Pending",
				trail.Fact{Key: "ran because", Value: "an earlier pass asked for it"},
				trail.Fact{Key: "plan", Value: "wants 4 and counts 1"},
				trail.Fact{Key: "expected", Value: "web-a, u9: not yet seen"},
				trail.Fact{Key: "next pass in", Value: "5m0s"})},
		},
		"a status write names no Pod": {
			record: reconcileRecord(`,"podtrail.plan.desired":1,"podtrail.plan.current":1`, podDeleted,
				`{"name":"PUT","attributes":{"http.request.method":"PUT","podtrail.audit_id":"a2"}}`),
			want: []trail.Observation{observation(owner, "s1", "teachingreplicaset wants 1 and counts 1: writes the status",
				trail.Fact{Key: "ran because", Value: "deleted: Pod web-z"},
				trail.Fact{Key: "plan", Value: "wants 1 and counts 1"})},
		},
		"nothing to do": {record: reconcileRecord(`,"podtrail.plan.desired":1,"podtrail.plan.current":1`, podDeleted, "")},
		"the object is gone": {record: Record{Data: json.RawMessage(
			`{"name":"Reconcile","attributes":{"podtrail.owner.name":"web"},"children":[{"name":"GET"}]}`)}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.record.Source = Reconcile
			got, err := Parse(tc.record)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Observations differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseReconcileRefusesOtherForms(t *testing.T) {
	tests := map[string]struct{ data, want string }{
		"not JSON":     {`{`, "decode reconcile record"},
		"another span": {`{"name":"GET","attributes":{"podtrail.owner.name":"web"}}`, `a span "GET" about "web"`},
		"no object":    {`{"name":"Reconcile"}`, "podtrail.owner.name"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseReconcile(Record{Data: json.RawMessage(tc.data)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

// TestManyNamesAreCounted keeps a fact readable when a pass makes hundreds of Pods.
func TestManyNamesAreCounted(t *testing.T) {
	if got := enumerate(strings.Split("abcdefghijklm", "")); got != "a, b, c, d, e, f, g, h, i, j and 3 more" {
		t.Errorf("Got %q", got)
	}
}
