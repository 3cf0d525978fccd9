// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
)

const (
	wake  = fwk.Queue
	sleep = fwk.QueueSkip
)

// refusing returns a plugin that has refused the Pod before: it knows the sizes.
func refusing(t *testing.T, pod *corev1.Pod) *ImageZone {
	t.Helper()
	pl, nodes := cluster{nodes: []*corev1.Node{makeDisk("holder", 0, images{app: 100 * mb, tool: 50 * mb})}}.plugin(t, "")
	if _, status := pl.PreFilter(t.Context(), framework.NewCycleState(), pod, nodes); !status.IsSuccess() {
		t.Fatalf("PreFilter: %v", status)
	}
	return pl
}

func TestHintAfterNodeChange(t *testing.T) {
	tests := map[string]struct {
		before, after *corev1.Node
		storage       int64
		wantHint      fwk.QueueingHint
	}{
		"a new node with room":                                  {after: makeDisk("n", 150*mb, nil), wantHint: wake},
		"a new node without room":                               {after: makeDisk("n", 150*mb-1, nil), wantHint: sleep},
		"a new node without room beside the Pod's own requests": {after: makeDisk("n", 150*mb, nil), storage: 1, wantHint: sleep},
		"a new small node that holds the images":                {after: makeDisk("n", 1, images{app: mb, tool: mb}), wantHint: wake},
		"a new node that reports no disk":                       {after: makeDisk("n", 0, nil), wantHint: wake},
		"a disk that grows enough":                              {before: makeDisk("n", 100*mb, nil), after: makeDisk("n", 200*mb, nil), wantHint: wake},
		"a disk that grows too little":                          {before: makeDisk("n", 100*mb, nil), after: makeDisk("n", 120*mb, nil), wantHint: sleep},
		"a disk that shrinks":                                   {before: makeDisk("n", 300*mb, nil), after: makeDisk("n", 200*mb, nil), wantHint: sleep},
		"a disk that is no longer reported":                     {before: makeDisk("n", 100*mb, nil), after: makeDisk("n", 0, nil), wantHint: wake},
		"only a taint that went": {
			before: st.MakeNode().Name("n").Taints([]corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}}).Obj(),
			after:  st.MakeNode().Name("n").Obj(), wantHint: sleep,
		},
		"an image that arrived with another change": {
			before: makeDisk("n", 60*mb, nil), after: makeDisk("n", 60*mb, images{app: mb}), wantHint: wake,
		},
		"an image that arrived, but the rest does not fit": {
			before: makeDisk("n", 40*mb, nil), after: makeDisk("n", 40*mb, images{app: mb}), wantHint: sleep,
		},
		"an image that has nothing to do with the Pod": {
			before: makeDisk("n", 200*mb, nil), after: makeDisk("n", 200*mb, images{"registry.example/other:v1": mb}), wantHint: sleep,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pod := makePod(tc.storage, app, tool)
			var before any
			if tc.before != nil {
				before = tc.before
			}
			hint, err := refusing(t, pod).afterNodeChange(klog.Background(), pod, before, tc.after)
			if err != nil || hint != tc.wantHint {
				t.Errorf("Got %v and error %v, want %v", hint, err, tc.wantHint)
			}
		})
	}
}

func TestHintAfterNodeChangeWithForgottenSizesWakes(t *testing.T) {
	pl, _ := cluster{}.plugin(t, "")
	hint, err := pl.afterNodeChange(klog.Background(), makePod(0, app), nil, makeDisk("n", 1, nil))
	if err != nil || hint != wake {
		t.Errorf("Got %v and error %v, want %v: the size may be anything", hint, err, wake)
	}
}

func TestHintAfterPodDelete(t *testing.T) {
	nominated := storagePod("p", "", mb)
	nominated.Status.NominatedNodeName = "n"
	tests := map[string]struct {
		deleted  *corev1.Pod
		wantHint fwk.QueueingHint
	}{
		"it was on a node and requested storage":    {storagePod("p", "n", mb), wake},
		"it was nominated and requested storage":    {nominated, wake},
		"it was on a node and requested no storage": {storagePod("p", "n", 0), sleep},
		"it was on no node":                         {storagePod("p", "", mb), sleep},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pod := makePod(0, app)
			hint, err := refusing(t, pod).afterPodDelete(klog.Background(), pod, tc.deleted, nil)
			if err != nil || hint != tc.wantHint {
				t.Errorf("Got %v and error %v, want %v", hint, err, tc.wantHint)
			}
		})
	}
}

func TestHintAfterPodUpdate(t *testing.T) {
	other := func(pod *corev1.Pod) *corev1.Pod {
		pod.UID = "other"
		return pod
	}
	condition := makePod(0, app)
	condition.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse}}
	tests := map[string]struct {
		before, after *corev1.Pod
		wantHint      fwk.QueueingHint
	}{
		"the Pod gets another image":                 {makePod(0, app), makePod(0, tool), wake},
		"the Pod gets the image under its full name": {makePod(0, "nginx"), makePod(0, "nginx:latest"), sleep},
		"the scheduler writes why it was refused":    {makePod(0, app), condition, sleep},
		"another Pod gets another image":             {other(makePod(0, app)), other(makePod(0, tool)), sleep},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pod := makePod(0, app)
			hint, err := refusing(t, pod).afterPodUpdate(klog.Background(), pod, tc.before, tc.after)
			if err != nil || hint != tc.wantHint {
				t.Errorf("Got %v and error %v, want %v", hint, err, tc.wantHint)
			}
		})
	}
}

func TestHintsForWhatIsNoEventOfTheirKindWake(t *testing.T) {
	pl, _ := cluster{}.plugin(t, "")
	events, err := pl.EventsToRegister(t.Context())
	if err != nil {
		t.Fatalf("EventsToRegister: %v", err)
	}
	for _, event := range events {
		hint, err := event.QueueingHintFn(klog.Background(), makePod(0, app), "no object", "no object")
		if err == nil || hint != wake {
			t.Errorf("%s: got %v and error %v, want %v and an error", event.Event.Label(), hint, err, wake)
		}
	}
}

// Every event has a hint: one without lets everything through, and so does one that the scheduler adds by itself
// because UpdateNodeTaint is not registered.
func TestEventsToRegister(t *testing.T) {
	pl, _ := cluster{}.plugin(t, "")
	events, err := pl.EventsToRegister(t.Context())
	if err != nil {
		t.Fatalf("EventsToRegister: %v", err)
	}
	registered := map[fwk.EventResource]fwk.ActionType{}
	for _, event := range events {
		if event.QueueingHintFn == nil {
			t.Errorf("%s has no hint", event.Event.Label())
		}
		registered[event.Event.Resource] |= event.Event.ActionType
	}
	want := map[fwk.EventResource]fwk.ActionType{
		fwk.Node: fwk.Add | fwk.UpdateNodeAllocatable | fwk.UpdateNodeTaint,
		fwk.Pod:  fwk.Delete | fwk.Update,
	}
	if diff := cmp.Diff(want, registered); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}
}

// If this fails, upstream has an event for changed images, and a hint can rely on it.
func TestUpstreamTellsNobodyOfChangedImages(t *testing.T) {
	events := framework.NodeSchedulingPropertiesChange(makeDisk("n", mb, images{app: mb}), makeDisk("n", mb, nil))
	if len(events) > 0 {
		t.Errorf("Got %v: use it in EventsToRegister, and mend what the documents say", events)
	}
}
