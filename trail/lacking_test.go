// SPDX-License-Identifier: Apache-2.0

package trail_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
)

// without leaves out the spans of senders.
func without(all []trail.Observation, senders ...string) []trail.Observation {
	return slices.DeleteFunc(slices.Clone(all), func(o trail.Observation) bool { return slices.Contains(senders, o.Sender) })
}

// missingSpans are the stages of each object of that kind at which the trail says that spans are missing, and what it says.
func missingSpans(t trail.Trail, kind string) (stages []trail.Stage, whys []string) {
	t.Walk(func(o *trail.Object) {
		if o.Subject.Kind != kind {
			return
		}
		for _, e := range o.Entries() {
			if e.Missing == nil || e.Missing.Source != trail.SourceSpan {
				continue
			}
			stages = append(stages, e.Stage)
			whys = append(whys, e.Missing.Why)
		}
	})
	slices.Sort(stages)
	slices.Sort(whys)
	return slices.Compact(stages), slices.Compact(whys)
}

// TestNothingIsMissingWhereThereIsEvidence: the recordings were made with all senders delivering.
func TestNothingIsMissingWhereThereIsEvidence(t *testing.T) {
	for name, of := range recordings {
		got, ok := trail.Build(load(t, name)).Focus(of.subject)
		if !ok || got.LacksSpans() {
			t.Errorf("%s: found %v, says that spans are missing: %v", name, ok, got.LacksSpans())
		}
	}
}

// TestMissingSpansAreTold at the stages that they would date, of each object, and not where another's are there.
func TestMissingSpansAreTold(t *testing.T) {
	ofRequest := []trail.Stage{trail.Authorize, trail.Mutate, trail.Validate, trail.Persist}
	for name, tc := range map[string]struct {
		without              []string
		wantPod, wantCreator []trail.Stage
	}{
		"all are there":                         {},
		"the API server was not heard of":       {[]string{trail.SenderAPIServer}, ofRequest, ofRequest},
		"the nodes' kubelets were not heard of": {[]string{trail.SenderKubelet}, []trail.Stage{trail.Run}, nil},
		"their containerds were not heard of":   {[]string{trail.SenderRuntime}, []trail.Stage{trail.Run}, nil},
		"nobody was heard of":                   {[]string{trail.SenderAPIServer, trail.SenderKubelet, trail.SenderRuntime}, append(slices.Clone(ofRequest), trail.Run), ofRequest},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := trail.Build(without(load(t, "deployment"), tc.without...)).Focus(recordings["deployment"].subject)
			if !ok || got.LacksSpans() != (len(tc.without) > 0) {
				t.Errorf("found %v, says that spans are missing: %v", ok, got.LacksSpans())
			}
			for kind, want := range map[string][]trail.Stage{"Pod": tc.wantPod, "Deployment": tc.wantCreator, "ReplicaSet": tc.wantCreator} {
				stages, _ := missingSpans(got, kind)
				if diff := cmp.Diff(want, stages); diff != "" {
					t.Errorf("stages of a %s (-want +got):\n%s", kind, diff)
				}
			}
		})
	}
}

// TestAKubeletThatAskedNothing has no answers of the runtime's to miss: it failed before.
func TestAKubeletThatAskedNothing(t *testing.T) {
	all := slices.DeleteFunc(without(load(t, "deployment"), trail.SenderRuntime), func(o trail.Observation) bool {
		span, _ := o.Fact(trail.FactSpan)
		return o.Sender == trail.SenderKubelet && span != "syncPod"
	})
	got, _ := trail.Build(all).Focus(recordings["deployment"].subject)
	if got.LacksSpans() {
		t.Error("says that spans are missing")
	}
}

// TestAPendingPod may rightly have no spans of its kubelet, unless the kubelet is known not to deliver.
func TestAPendingPod(t *testing.T) {
	at := time.Date(2026, time.May, 4, 10, 0, 0, 0, time.UTC)
	pod := trail.Subject{Kind: "Pod", Namespace: "demo", Name: "web", UID: "u"}
	seen := []trail.Observation{{
		Subject: pod, Stage: trail.Run, Evidence: trail.Evidence{Source: trail.SourceObject, ID: "Pod/web@5"},
		State: &trail.State{ResourceVersion: "5", Node: "w", Phase: "Pending", Live: true},
	}}
	sender := trail.Sender{Name: trail.SenderKubelet, First: at, Last: at.Add(time.Hour), Connections: 1}
	for name, tc := range map[string]struct {
		heard []trail.Listening
		want  bool
	}{
		"of a kubelet of which nothing is known": {nil, false},
		"of a kubelet that delivers":             {[]trail.Listening{{Node: "w", Now: at.Add(time.Hour), Senders: []trail.Sender{sender}}}, false},
		"of a kubelet that does not":             {[]trail.Listening{{Node: "w", Now: at.Add(time.Hour)}}, true},
	} {
		got := trail.Build(seen, tc.heard...)
		if got.LacksSpans() != tc.want {
			t.Errorf("%s: says that spans are missing: %v, want %v", name, got.LacksSpans(), tc.want)
		}
	}
}

// TestWhySpansAreMissing: the reason comes of what the recorder of the node knew of the sender when the evidence was read.
func TestWhySpansAreMissing(t *testing.T) {
	all := without(load(t, "deployment"), trail.SenderKubelet)
	whole, _ := trail.Build(load(t, "deployment")).Focus(recordings["deployment"].subject)
	var node string
	var bound, ready time.Time
	whole.Walk(func(o *trail.Object) {
		if whole.Outcome.Slowest != nil && o.Subject == *whole.Outcome.Slowest {
			node, ready = o.State.Node, o.ReadyAt
			for _, e := range o.Stages {
				if e.Stage == trail.Run {
					bound = e.At
				}
			}
		}
	})
	if node == "" || bound.IsZero() || ready.IsZero() {
		t.Fatalf("the recording has node %q, bound at %v, Ready at %v, want all", node, bound, ready)
	}
	text := func(at time.Time) string { return at.UTC().Format("15:04:05Z") }
	now := ready.Add(time.Hour)
	begun := bound.Add(-time.Hour)
	kubelet := func(first, last, disconnected time.Time) []trail.Sender {
		return []trail.Sender{{Name: "kubelet", Spans: 1, First: first, Last: last, Disconnected: disconnected}}
	}
	for name, tc := range map[string]struct {
		heard trail.Listening
		want  string
	}{
		"nothing is known of the node": {trail.Listening{Node: "another"}, "no span of kubelet about this Pod is kept"},
		"the kubelet never sent": {
			trail.Listening{Node: node, Now: now, Since: begun, Senders: []trail.Sender{{Name: "containerd", First: begun, Last: now}}},
			"kubelet on " + node + " has sent nothing yet",
		},
		"it has lost its connection": {
			trail.Listening{Node: node, Now: now, Since: begun, Senders: kubelet(begun, begun.Add(time.Minute), begun.Add(2*time.Minute))},
			"kubelet on " + node + " has had no connection for " + now.Sub(begun.Add(2*time.Minute)).Round(time.Second).String() + ", its last span came at " + text(begun.Add(time.Minute)),
		},
		"it is silent": {
			trail.Listening{Node: node, Now: now, Since: begun, Senders: kubelet(begun, begun.Add(time.Minute), time.Time{})},
			"kubelet on " + node + " has sent nothing for " + now.Sub(begun.Add(time.Minute)).Round(time.Second).String() + ", its last span came at " + text(begun.Add(time.Minute)),
		},
		"it connected later": {
			trail.Listening{Node: node, Now: now, Since: begun, Senders: kubelet(ready.Add(time.Minute), now, time.Time{})},
			"the first span of kubelet on " + node + " came at " + text(ready.Add(time.Minute)) + ", after this Pod",
		},
		"the recorder keeps only younger ones": {
			trail.Listening{Node: node, Now: now, Since: ready.Add(time.Minute), Senders: kubelet(ready.Add(time.Minute), now, time.Time{})},
			"the recorder on " + node + " keeps spans since " + text(ready.Add(time.Minute)) + " only",
		},
		"they are on their way": {
			trail.Listening{Node: node, Now: ready.Add(2 * time.Second), Since: begun, Senders: kubelet(begun, ready.Add(time.Second), time.Time{})},
			"the spans of kubelet on " + node + " about this Pod are still to come: exporters send every 5 s",
		},
		"others are kept": {
			trail.Listening{Node: node, Now: now, Since: begun, Senders: kubelet(begun, now, time.Time{})},
			"no span of kubelet on " + node + " about this Pod is kept, although others of it are",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := trail.Build(all, tc.heard).Focus(*whole.Outcome.Slowest)
			_, whys := missingSpans(got, "Pod")
			if diff := cmp.Diff([]string{tc.want}, whys); diff != "" {
				t.Errorf("why (-want +got):\n%s", diff)
			}
			if soon := name == "they are on their way"; got.SpansComeSoon() != soon {
				t.Errorf("the spans come soon: %v, want %v", got.SpansComeSoon(), soon)
			}
		})
	}
}
