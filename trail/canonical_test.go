// SPDX-License-Identifier: Apache-2.0

package trail_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
)

func TestOrderOfObservationsChangesNothing(t *testing.T) {
	for name := range recordings {
		t.Run(name, func(t *testing.T) {
			observations := load(t, name)
			want := asJSON(t, trail.Build(observations))
			for seed := range uint64(20) {
				shuffled := slices.Clone(observations)
				rand.New(rand.NewPCG(seed, 6)).Shuffle(len(shuffled), func(i, j int) {
					shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
				})
				if diff := cmp.Diff(want, asJSON(t, trail.Build(shuffled))); diff != "" {
					t.Fatalf("seed %d gives another trail (-sorted +shuffled):\n%s", seed, diff)
				}
			}
		})
	}
}

func TestEvidenceSeenByTwoRecordersCountsOnce(t *testing.T) {
	observations := load(t, "refused")
	twice := slices.Clone(observations)
	for _, o := range observations {
		o.Evidence.Node = "another-control-plane"
		twice = append(twice, o)
	}
	if got, want := trail.Build(twice).Observed, trail.Build(observations).Observed; got != want {
		t.Errorf("%d facts, want %d", got, want)
	}
}

func TestEvidenceThatDiffersInOneFactCountsTwice(t *testing.T) {
	pod := trail.Subject{Kind: "Pod", Namespace: "n", Name: "x", UID: "1"}
	said := func(node, value string) trail.Observation {
		o := about(pod, keyed("object", trail.Run, trail.Keys{}))
		o.Evidence.Node, o.Facts = node, []trail.Fact{{Key: "image", Value: value}}
		return o
	}
	got := trail.Build([]trail.Observation{said("a", "one"), said("b", "two"), said("c", "one")})
	if got.Observed != 2 {
		t.Errorf("%d facts, want 2: those of a and c are the same", got.Observed)
	}
}

func TestEvidenceWithATimeThatCannotBeWrittenIsLeftOut(t *testing.T) {
	pod := trail.Subject{Kind: "Pod", Namespace: "n", Name: "x", UID: "1"}
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	dated := about(pod, keyed("dated", trail.Run, trail.Keys{}))
	dated.Time = late
	ready := about(pod, keyed("ready", trail.Run, trail.Keys{}))
	ready.State = &trail.State{ReadyAt: late}
	received := step(pod, trail.Request{AuditID: "a", Verb: "create", URI: "/pods", Creates: true, Code: 201, Received: late}, trail.Submit)
	for name, o := range map[string]trail.Observation{"its own": dated, "its state's": ready, "its request's": received} {
		t.Run(name, func(t *testing.T) {
			got := trail.Build([]trail.Observation{o, step(pod, trail.Request{AuditID: "b", Verb: "patch", URI: "/x", Code: 200}, trail.Submit)})
			if _, err := json.Marshal(got); err != nil {
				t.Errorf("the trail cannot be written: %v", err)
			}
			if got.Observed != 1 {
				t.Errorf("%d facts, want the other's only", got.Observed)
			}
		})
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
