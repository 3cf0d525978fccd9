// SPDX-License-Identifier: Apache-2.0

package trail_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
)

func TestStagesSumToTheWhole(t *testing.T) {
	for _, name := range []string{"deployment", "teachingreplicaset"} {
		t.Run(name, func(t *testing.T) {
			whole := trail.Build(load(t, name))
			whole.Walk(func(o *trail.Object) {
				if o.Subject.Kind != "Pod" {
					return
				}
				one, _ := whole.Focus(o.Subject)
				var sum time.Duration
				seen := map[trail.Stage]bool{}
				at := one.Start
				for _, segment := range one.Timeline {
					if !segment.At.Equal(at) {
						t.Errorf("%s: %s begins %s after what is before it ends", o.Subject, segment.Stage, segment.At.Sub(at))
					}
					at = segment.At.Add(segment.Took)
					sum += segment.Took
					seen[segment.Stage] = true
				}
				if want := o.ReadyAt.Sub(one.Start); (sum - want).Abs() > want/100 {
					t.Errorf("%s: stages sum to %s, want %s within 1 %%", o.Subject, sum, want)
				}
				// Not Reconcile: a quick controller sends its request before the answer to the owner's is written.
				for _, stage := range []trail.Stage{trail.Submit, trail.Schedule, trail.Run} {
					if !seen[stage] {
						t.Errorf("%s: no time in %s", o.Subject, stage)
					}
				}
			})
		})
	}
}

func TestSpansDivideARequest(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	pod := trail.Subject{Kind: "Pod", Namespace: "n", Name: "x", UID: "1"}
	create := trail.Request{
		AuditID: "a", Verb: "create", URI: "/pods", Creates: true, Code: 201, ResourceVersion: "10", Received: at, Took: 100 * time.Millisecond,
	}
	span := func(id string, stage trail.Stage, from, took time.Duration) trail.Observation {
		o := keyed(id, stage, trail.Keys{AuditID: "a", Trace: "t", Span: id})
		o.Time, o.Duration = at.Add(from), took
		return o
	}
	got := trail.Build([]trail.Observation{
		step(pod, create, trail.Submit), step(pod, create, trail.Mutate), step(pod, create, trail.Persist),
		span("webhook", trail.Mutate, 10*time.Millisecond, 20*time.Millisecond),
		span("again", trail.Mutate, 40*time.Millisecond, 5*time.Millisecond),
		span("etcd3", trail.Persist, 60*time.Millisecond, 30*time.Millisecond),
		span("txn", trail.Persist, 65*time.Millisecond, 10*time.Millisecond), // inside of etcd3
	})
	took := map[trail.Stage]time.Duration{}
	for _, e := range got.Objects[0].Created.Stages {
		if e.Took > 0 {
			took[e.Stage] = e.Took
		}
	}
	want := map[trail.Stage]time.Duration{
		trail.Submit: 45 * time.Millisecond, trail.Mutate: 25 * time.Millisecond, trail.Persist: 30 * time.Millisecond,
	}
	if diff := cmp.Diff(want, took); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}

func TestGapsSayWhatIsOnBothSides(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	pod := trail.Subject{Kind: "Pod", Namespace: "n", Name: "x", UID: "1"}
	request := func(id, subresource string, from, took time.Duration, creates bool) trail.Request {
		return trail.Request{
			AuditID: id, Verb: "create", Subresource: subresource, URI: "/" + id, Creates: creates, Code: 201, Received: at.Add(from), Took: took,
		}
	}
	sync := about(pod, keyed("s", trail.Run, trail.Keys{}))
	sync.Time, sync.Duration = at.Add(500*time.Millisecond), time.Second
	sync.Facts = append(sync.Facts, trail.Fact{Key: trail.FactSpan, Value: "syncPod"})
	sandbox := about(pod, keyed("r", trail.Run, trail.Keys{}))
	sandbox.Time, sandbox.Duration = at.Add(502*time.Millisecond), 300*time.Millisecond
	sandbox.Facts = append(sandbox.Facts, trail.Fact{Key: trail.FactSpan, Value: "runtime.v1.RuntimeService/RunPodSandbox"})
	ready := about(pod, keyed("ready", trail.Run, trail.Keys{}))
	ready.State = &trail.State{ResourceVersion: "20", Ready: true, ReadyAt: at.Add(time.Second), Live: true}
	whole := trail.Build([]trail.Observation{
		step(pod, request("a", "", 0, 10*time.Millisecond, true), trail.Submit),
		step(pod, request("b", "binding", 20*time.Millisecond, 10*time.Millisecond, false), trail.Submit), sync, sandbox, ready,
	})
	got, ok := whole.Focus(pod)
	if !ok {
		t.Fatal("the Pod is not in its trail")
	}
	want := []trail.Gap{
		{At: at.Add(30 * time.Millisecond), Took: 470 * time.Millisecond, After: "the Binding", Before: "the kubelet's sync"},
		{At: at.Add(802 * time.Millisecond), Took: 198 * time.Millisecond, After: "RunPodSandbox", Before: "Ready"},
	}
	if diff := cmp.Diff(want, got.Gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

func TestOnlyChosenStagesAndTimesStay(t *testing.T) {
	got := focus(t, load(t, "deployment"), recordings["deployment"].subject)
	only := got.Only([]trail.Stage{trail.Persist, trail.Run}, time.Time{})
	stages := map[trail.Stage]bool{}
	only.Walk(func(o *trail.Object) {
		for _, e := range o.Entries() {
			stages[e.Stage] = true
		}
	})
	if diff := cmp.Diff(map[trail.Stage]bool{trail.Persist: true, trail.Run: true}, stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if only.Observed != got.Observed || only.Outcome.Result != got.Outcome.Result {
		t.Error("the counts or the outcome of the whole trail changed")
	}
	late := got.Only(nil, got.Start.Add(time.Hour))
	late.Walk(func(o *trail.Object) {
		for _, e := range o.Entries() {
			for _, obs := range e.Observations {
				if !obs.Time.IsZero() && obs.Time.Before(got.Start.Add(time.Hour)) {
					t.Errorf("%s at %s stayed", obs.Summary, obs.Time)
				}
			}
		}
	})
}
