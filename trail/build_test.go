// SPDX-License-Identifier: Apache-2.0

package trail_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/internal/recorded"
)

// recordings are the real runs in docs/recordings and what became of their subjects.
var recordings = map[string]struct {
	subject     trail.Subject
	wantResult  trail.Result
	wantStage   trail.Stage
	wantReady   int
	wantDesired int
}{
	"deployment": {
		subject:    trail.Subject{Kind: "Deployment", Namespace: "podtrail-demo", Name: "nginx-deployment"},
		wantResult: trail.Ready, wantReady: 3, wantDesired: 3,
	},
	"teachingreplicaset": {
		subject:    trail.Subject{Kind: "TeachingReplicaSet", Namespace: "podtrail-demo", Name: "web"},
		wantResult: trail.Ready, wantReady: 3, wantDesired: 3,
	},
	"refused": {
		subject:    trail.Subject{Kind: "Pod", Namespace: "podtrail-demo", Name: "no-limit"},
		wantResult: trail.Refused, wantStage: trail.Validate, wantDesired: 1,
	},
	"quota": {
		subject:    trail.Subject{Kind: "Deployment", Namespace: "default", Name: "trailtest-quota"},
		wantResult: trail.Failed, wantStage: trail.Validate, wantDesired: 2,
	},
	"badimage": {
		subject:    trail.Subject{Kind: "Pod", Namespace: "default", Name: "trailtest-badimage"},
		wantResult: trail.Failed, wantStage: trail.Run, wantDesired: 1,
	},
	"unschedulable": {
		subject:    trail.Subject{Kind: "Pod", Namespace: "default", Name: "trailtest-nowhere"},
		wantResult: trail.Failed, wantStage: trail.Schedule, wantDesired: 1,
	},
	"crashloop": {
		subject:    trail.Subject{Kind: "Pod", Namespace: "default", Name: "trailtest-crash"},
		wantResult: trail.Failed, wantStage: trail.Run, wantDesired: 1,
	},
}

func load(t *testing.T, name string) []trail.Observation {
	t.Helper()
	observations, err := recorded.Observe("..", name)
	if err != nil {
		t.Fatal(err)
	}
	if len(observations) == 0 {
		t.Fatalf("recording %s holds no observation", name)
	}
	return observations
}

func focus(t *testing.T, observations []trail.Observation, subject trail.Subject) trail.Trail {
	t.Helper()
	got, ok := trail.Build(observations).Focus(subject)
	if !ok {
		t.Fatalf("%s is not in the trail", subject)
	}
	return got
}

func TestRecordedRunsEndAsTheyDid(t *testing.T) {
	for name, tc := range recordings {
		t.Run(name, func(t *testing.T) {
			got := focus(t, load(t, name), tc.subject)
			if got.Outcome.Result != tc.wantResult || got.Outcome.Stage != tc.wantStage {
				t.Errorf("outcome is %s at %s, want %s at %s", got.Outcome.Result, got.Outcome.Stage, tc.wantResult, tc.wantStage)
			}
			if got.Outcome.Ready != tc.wantReady || got.Outcome.Desired != tc.wantDesired {
				t.Errorf("%d of %d Ready, want %d of %d", got.Outcome.Ready, got.Outcome.Desired, tc.wantReady, tc.wantDesired)
			}
			if got.Inferred != 0 {
				t.Errorf("%d facts inferred, want every join by identity", got.Inferred)
			}
			if (got.Outcome.Failure != nil) != (tc.wantStage != 0) {
				t.Errorf("failure is %v", got.Outcome.Failure)
			}
		})
	}
}

func TestEveryPodOfAWorkloadHasEvidenceOfEveryStage(t *testing.T) {
	for _, name := range []string{"deployment", "teachingreplicaset"} {
		t.Run(name, func(t *testing.T) {
			whole := trail.Build(load(t, name))
			pods := 0
			whole.Walk(func(o *trail.Object) {
				if o.Subject.Kind != "Pod" {
					return
				}
				pods++
				one, _ := whole.Focus(o.Subject)
				seen := map[trail.Stage]int{}
				one.Walk(func(part *trail.Object) {
					for _, e := range slices.Concat(part.Created.Stages, part.Stages) {
						for _, obs := range e.Observations {
							seen[e.Stage] += len(obs.Facts)
						}
					}
				})
				for stage := trail.Submit; stage <= trail.Run; stage++ {
					if seen[stage] == 0 {
						t.Errorf("%s: no fact about %s", o.Subject, stage)
					}
				}
				if one.Outcome.Result != trail.Ready || one.Outcome.Took <= 0 {
					t.Errorf("%s: %s after %s", o.Subject, one.Outcome.Result, one.Outcome.Took)
				}
			})
			if pods != 3 {
				t.Errorf("%d Pods in the recording, want 3", pods)
			}
		})
	}
}

func TestRemovingASourceRemovesOnlyItsEvidence(t *testing.T) {
	observations := load(t, "deployment")
	sources := map[string]bool{}
	for _, o := range observations {
		sources[o.Evidence.Source] = true
	}
	if len(sources) < 3 {
		t.Fatalf("the recording holds sources %v only", sources)
	}
	for gone := range sources {
		t.Run(gone, func(t *testing.T) {
			whole := evidenceOf(trail.Build(observations))
			rest := evidenceOf(trail.Build(slices.DeleteFunc(slices.Clone(observations), func(o trail.Observation) bool {
				return o.Evidence.Source == gone
			})))
			for key := range whole {
				if key.Source == gone {
					delete(whole, key)
				}
			}
			if diff := cmp.Diff(whole, rest); diff != "" {
				t.Errorf("evidence (-want +got):\n%s", diff)
			}
		})
	}
}

func evidenceOf(whole trail.Trail) map[trail.Evidence]int {
	out := map[trail.Evidence]int{}
	whole.Walk(func(o *trail.Object) {
		entries := slices.Concat(o.Created.Stages, o.Stages)
		for _, w := range o.Writes {
			entries = append(entries, w.Stages...)
		}
		for _, e := range entries {
			for _, obs := range e.Observations {
				out[obs.Evidence]++
			}
		}
	})
	// What loses the source that it was joined by stands apart, and is not lost.
	for _, obs := range whole.Unjoined {
		out[obs.Evidence]++
	}
	return out
}

func TestStagesWithoutEvidenceSayWhichSourceIsMissing(t *testing.T) {
	observations := slices.DeleteFunc(load(t, "deployment"), func(o trail.Observation) bool {
		return o.Evidence.Source == trail.SourceAudit
	})
	got := focus(t, observations, recordings["deployment"].subject)
	if got.Outcome.Result != trail.Ready {
		t.Errorf("result from API objects alone is %s, want Ready", got.Outcome.Result)
	}
	missing := map[trail.Stage]bool{}
	for _, e := range got.Objects[0].Created.Stages {
		missing[e.Stage] = e.Missing != nil
	}
	want := map[trail.Stage]bool{
		// The managedFields say who wrote it.
		trail.Submit: false, trail.Authenticate: true, trail.Authorize: true, trail.Mutate: true, trail.Validate: true,
		trail.Persist: false,
	}
	if diff := cmp.Diff(want, missing); diff != "" {
		t.Errorf("missing stages (-want +got):\n%s", diff)
	}
}

// step is an observation of one request, for the cases that no recording holds.
func step(subject trail.Subject, request trail.Request, stage trail.Stage) trail.Observation {
	return trail.Observation{
		Subject: subject, Request: &request, Stage: stage, Summary: stage.String(),
		Facts:    []trail.Fact{{Key: "verb", Value: request.Verb}},
		Evidence: trail.Evidence{Source: trail.SourceAudit, ID: request.AuditID},
	}
}

func TestJoins(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	create := func(id, rv string) trail.Request {
		return trail.Request{AuditID: id, Verb: "create", URI: "/pods", Creates: true, Code: 201, ResourceVersion: rv, Received: at}
	}
	bind := trail.Request{AuditID: "b", Verb: "create", Subresource: "binding", URI: "/pods/x/binding", Code: 201, Received: at}
	first := trail.Subject{Kind: "Pod", Namespace: "n", Name: "x", UID: "1"}
	second := trail.Subject{Kind: "Pod", Namespace: "n", Name: "x", UID: "2"}
	nameOnly := trail.Subject{Kind: "Pod", Namespace: "n", Name: "x"}
	unnamed := trail.Subject{Kind: "Pod", Namespace: "n"}
	cases := map[string]struct {
		observations []trail.Observation
		wantObjects  int
		wantInferred int
		wantWrites   int
	}{
		"the same name with another UID is another object, also at the same time": {
			observations: []trail.Observation{step(first, create("a", "10"), trail.Submit), step(second, create("c", "20"), trail.Submit)},
			wantObjects:  2,
		},
		"evidence without a UID joins the only object of that name, marked inferred": {
			observations: []trail.Observation{step(first, create("a", "10"), trail.Submit), step(nameOnly, bind, trail.Submit)},
			wantObjects:  1, wantInferred: 1, wantWrites: 1,
		},
		"evidence without a UID joins none of two objects of that name": {
			observations: []trail.Observation{
				step(first, create("a", "10"), trail.Submit), step(second, create("c", "20"), trail.Submit), step(nameOnly, bind, trail.Submit),
			},
			wantObjects: 3, wantWrites: 1,
		},
		"a creation without a name has the one under which the span of its Audit-ID stored it": {
			observations: []trail.Observation{
				about(first, keyed("object", trail.Run, trail.Keys{})),
				step(unnamed, create("a", ""), trail.Submit), step(unnamed, create("c", ""), trail.Submit),
				about(nameOnly, keyed("store", trail.Persist, trail.Keys{AuditID: "a"})),
			},
			wantObjects: 2, wantInferred: 2, // the other stays apart
		},
		"a creation without a name has none of two under which its Audit-ID stored": {
			observations: []trail.Observation{
				about(first, keyed("object", trail.Run, trail.Keys{})), step(unnamed, create("a", ""), trail.Submit),
				about(nameOnly, keyed("store", trail.Persist, trail.Keys{AuditID: "a"})),
				about(trail.Subject{Kind: "Pod", Namespace: "n", Name: "y"}, keyed("other", trail.Persist, trail.Keys{AuditID: "a"})),
			},
			wantObjects: 2, wantInferred: 0,
		},
		"two requests with one Audit-ID, as a client may choose it, stay two writes": {
			observations: []trail.Observation{
				step(first, create("a", "10"), trail.Submit),
				step(first, trail.Request{AuditID: "a", Verb: "patch", URI: "/pods/x", Code: 200, ResourceVersion: "11", Received: at}, trail.Submit),
				step(first, trail.Request{AuditID: "a", Verb: "patch", URI: "/pods/x", Code: 200, ResourceVersion: "12", Received: at.Add(time.Second)}, trail.Submit),
			},
			wantObjects: 1, wantWrites: 2,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := trail.Build(tc.observations)
			writes := 0
			got.Walk(func(o *trail.Object) { writes += len(o.Writes) })
			if len(got.Objects) != tc.wantObjects || got.Inferred != tc.wantInferred || writes != tc.wantWrites {
				t.Errorf("%d objects, %d inferred, %d writes; want %d, %d, %d",
					len(got.Objects), got.Inferred, writes, tc.wantObjects, tc.wantInferred, tc.wantWrites)
			}
		})
	}
}

func TestWritesAreOrderedByResourceVersionAgainstTheClock(t *testing.T) {
	pod := trail.Subject{Kind: "Pod", Namespace: "n", Name: "x", UID: "1"}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	write := func(rv string, received time.Time) trail.Observation {
		return step(pod, trail.Request{AuditID: "w" + rv, Verb: "patch", URI: "/x", Code: 200, ResourceVersion: rv, Received: received}, trail.Submit)
	}
	// 9 before 10 as numbers, though the clock of the server that wrote 9 was ahead.
	got := trail.Build([]trail.Observation{write("10", at), write("9", at.Add(time.Hour)), write("100", at.Add(-time.Hour))})
	var versions []string
	for _, w := range got.Objects[0].Writes {
		versions = append(versions, w.ResourceVersion)
	}
	if diff := cmp.Diff([]string{"9", "10", "100"}, versions); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestARingOfOwnersEnds(t *testing.T) {
	object := func(uid, owner string) trail.Observation {
		return trail.Observation{
			Subject: trail.Subject{Kind: "ReplicaSet", Name: uid, UID: uid}, Owner: &trail.Subject{Kind: "ReplicaSet", Name: owner, UID: owner},
			Stage: trail.Persist, Evidence: trail.Evidence{Source: trail.SourceObject, ID: uid},
		}
	}
	got := trail.Build([]trail.Observation{object("a", "b"), object("b", "a"), object("c", "c"), object("d", "a")})
	count := 0
	got.Walk(func(*trail.Object) { count++ })
	if count != 4 {
		t.Errorf("%d objects in the trail, want all 4", count)
	}
}

func TestStageNamesSurviveJSON(t *testing.T) {
	for stage := trail.Submit; stage <= trail.Heal; stage++ {
		text, err := stage.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back trail.Stage
		if err := back.UnmarshalText(text); err != nil || back != stage {
			t.Errorf("%s came back as %s, %v", stage, back, err)
		}
	}
	var unknown trail.Stage
	if err := unknown.UnmarshalText([]byte("Phase")); err == nil {
		t.Error("an unknown stage was taken")
	}
}

func BenchmarkBuildDeploymentOf100Pods(b *testing.B) {
	observations, err := recorded.Observe("..", "deployment")
	if err != nil {
		b.Fatal(err)
	}
	var many []trail.Observation
	for i := range 33 {
		for _, o := range observations {
			if o.Subject.Kind == "Pod" {
				o.Subject.UID += fmt.Sprint(i)
				o.Subject.Name += fmt.Sprint(i)
			}
			many = append(many, o)
		}
	}
	for b.Loop() {
		trail.Build(many)
	}
}
