// SPDX-License-Identifier: Apache-2.0

package trail_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
)

// keyed is an observation that names no object and is joined by its keys alone.
func keyed(id string, stage trail.Stage, keys trail.Keys) trail.Observation {
	return trail.Observation{
		Stage: stage, Keys: keys, Summary: id, Facts: []trail.Fact{{Key: "id", Value: id}},
		Evidence: trail.Evidence{Source: trail.SourceSpan, ID: id},
	}
}

func about(subject trail.Subject, o trail.Observation) trail.Observation {
	o.Subject = subject
	return o
}

func inState(o trail.Observation, version, node string) trail.Observation {
	o.State = &trail.State{ResourceVersion: version, Node: node}
	return o
}

func TestEvidenceIsJoinedByItsKeys(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	pod := trail.Subject{Kind: "Pod", Namespace: "n", Name: "x", UID: "1"}
	other := trail.Subject{Kind: "Pod", Namespace: "n", Name: "y", UID: "2"}
	create := step(pod, trail.Request{AuditID: "a", Verb: "create", URI: "/pods", Creates: true, Code: 201, ResourceVersion: "10", Received: at}, trail.Submit)
	binding := step(pod, trail.Request{AuditID: "b", Verb: "create", Subresource: "binding", URI: "/pods/x/binding", Code: 201, Received: at}, trail.Submit)
	status := step(pod, trail.Request{AuditID: "s", Verb: "patch", Subresource: "status", URI: "/pods/x/status", Code: 200, ResourceVersion: "12", Received: at}, trail.Submit)
	twice := status
	again := *status.Request
	again.Received = at.Add(time.Second)
	twice.Request = &again
	revision := func(id, version, node string) trail.Observation {
		o := inState(about(pod, keyed(id, trail.Persist, trail.Keys{ResourceVersion: version, Creates: version == "10"})), version, node)
		o.Evidence.Source = trail.SourceEtcd
		return o
	}
	cases := map[string]struct {
		observations []trail.Observation
		// want says for each piece of evidence where it stands: "UID/created", "UID/binding@VERSION", "UID/stage".
		want map[string]string
	}{
		"by the Audit-ID, and below by the parents of spans": {
			observations: []trail.Observation{
				create, binding,
				keyed("root", trail.Submit, trail.Keys{AuditID: "a", Trace: "t", Span: "1"}),
				keyed("etcd3", trail.Persist, trail.Keys{Trace: "t", Span: "3", Parent: "2"}),
				keyed("store", trail.Persist, trail.Keys{Trace: "t", Span: "2", Parent: "1"}),
			},
			want: map[string]string{"root": "1/created", "store": "1/created", "etcd3": "1/created"},
		},
		"by the trace where the spans between were dropped": {
			observations: []trail.Observation{
				create, keyed("root", trail.Submit, trail.Keys{AuditID: "a", Trace: "t", Span: "1"}),
				keyed("deep", trail.Persist, trail.Keys{Trace: "t", Span: "9", Parent: "8"}),
			},
			want: map[string]string{"root": "1/created", "deep": "1/created"},
		},
		"not by an Audit-ID that two requests have": {
			observations: []trail.Observation{status, twice, keyed("root", trail.Submit, trail.Keys{AuditID: "s"})},
			want:         map[string]string{"root": "unjoined"},
		},
		"by the kubelet's Pod UID down to the runtime's spans, and on by the sandbox": {
			observations: []trail.Observation{
				create,
				about(pod, keyed("syncPod", trail.Run, trail.Keys{Trace: "k", Span: "1"})),
				keyed("sandbox", trail.Run, trail.Keys{Trace: "k", Span: "2", Parent: "1", Sandbox: "s1"}),
				keyed("later", trail.Run, trail.Keys{Trace: "z", Span: "5", Sandbox: "s1"}),
			},
			want: map[string]string{"syncPod": "1/Run", "sandbox": "1/Run", "later": "1/Run"},
		},
		"not by a trace of two Pods": {
			observations: []trail.Observation{
				about(pod, keyed("one", trail.Run, trail.Keys{Trace: "k", Span: "1"})),
				about(other, keyed("two", trail.Run, trail.Keys{Trace: "k", Span: "2"})),
				keyed("whose", trail.Run, trail.Keys{Trace: "k", Span: "3"}),
			},
			want: map[string]string{"one": "1/Run", "two": "2/Run", "whose": "unjoined"},
		},
		"revisions to the writes that stored them, the Binding's as the first with a node": {
			observations: []trail.Observation{
				create, binding, status, revision("r10", "10", ""), revision("r11", "11", "worker"), revision("r12", "12", "worker"),
			},
			want: map[string]string{"r10": "1/created", "r11": "1/binding@11", "r12": "1/status@12"},
		},
		"revisions without any request are writes of their own": {
			observations: []trail.Observation{revision("r10", "10", ""), revision("r11", "11", "worker")},
			want:         map[string]string{"r10": "1/created", "r11": "1/@11"},
		},
		"a ring of spans ends": {
			observations: []trail.Observation{
				keyed("one", trail.Run, trail.Keys{Trace: "k", Span: "1", Parent: "2"}), keyed("two", trail.Run, trail.Keys{Trace: "k", Span: "2", Parent: "1"}),
			},
			want: map[string]string{"one": "unjoined", "two": "unjoined"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(10) {
				shuffled := slices.Clone(tc.observations)
				rand.New(rand.NewPCG(seed, 6)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
				got := trail.Build(shuffled)
				if diff := cmp.Diff(tc.want, placesOf(got)); diff != "" {
					t.Fatalf("seed %d, places (-want +got):\n%s", seed, diff)
				}
				if got.Inferred != 0 {
					t.Errorf("%d facts inferred", got.Inferred)
				}
			}
		})
	}
}

// placesOf says where each keyed observation stands.
func placesOf(built trail.Trail) map[string]string {
	out := map[string]string{}
	note := func(where string, entries []trail.Entry) {
		for _, e := range entries {
			for _, o := range e.Observations {
				if id, ok := o.Fact("id"); ok && where == "" {
					out[id] = o.Subject.UID + "/" + e.Stage.String()
				} else if ok {
					out[id] = o.Subject.UID + "/" + where
				}
			}
		}
	}
	built.Walk(func(o *trail.Object) {
		note("created", o.Created.Stages)
		note("", o.Stages)
		for _, w := range o.Writes {
			note(w.Subresource+"@"+w.ResourceVersion, w.Stages)
		}
	})
	for _, o := range built.Unjoined {
		id, _ := o.Fact("id")
		out[id] = "unjoined"
	}
	return out
}
