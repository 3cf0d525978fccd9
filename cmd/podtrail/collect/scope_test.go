// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestNarrow: what is read is bounded by what can be of the object, and not at all where that is unknown.
func TestNarrow(t *testing.T) {
	minute := func(n int) time.Time { return time.Date(2026, 5, 4, 10, n, 0, 0, time.UTC) }
	object := func(kind, name string, created int, owners ...string) liveObject {
		o := liveObject{}
		o.Kind, o.Name, o.UID, o.CreationTimestamp = kind, name, types.UID(kind+"/"+name), metav1.NewTime(minute(created))
		for _, owner := range owners {
			o.OwnerReferences = append(o.OwnerReferences, metav1.OwnerReference{UID: types.UID(owner)})
		}
		return o
	}
	deployment := []liveObject{
		object("Deployment", "web", 10),
		object("ReplicaSet", "web-1", 11, "Deployment/web"),
		object("ReplicaSet", "web-2", 30, "Deployment/web"),
		object("Pod", "web-2-a", 31, "ReplicaSet/web-2"),
		object("Pod", "other", 5),
	}
	tests := map[string]struct {
		live       []liveObject
		kind, name string
		want       time.Time
		builtIn    bool
	}{
		"of a Pod, its oldest owner's":                  {deployment, "Pod", "web-2-a", minute(10), true},
		"of a Deployment, its own":                      {deployment, "Deployment", "web", minute(10), true},
		"always, of a Pod that may have lost its owner": {deployment, "Pod", "other", time.Time{}, false},
		"always, of a ReplicaSet that may have lost it": {[]liveObject{object("ReplicaSet", "web", 9), object("Pod", "a", 9, "ReplicaSet/web")}, "Pod", "a", time.Time{}, false},
		"of an owner that adopted an older Pod, Pod's":  {[]liveObject{object("TeachingReplicaSet", "web", 20), object("Pod", "orphan", 3, "TeachingReplicaSet/web")}, "TeachingReplicaSet", "web", minute(3), false},
		"always, if it does not live":                   {deployment, "Pod", "gone", time.Time{}, false},
		"always, if the name is that of another kind":   {deployment, "Pod", "web", time.Time{}, false},
		"always, if an owner is not among what is read": {[]liveObject{object("Pod", "job-a", 9, "Job/job")}, "Pod", "job-a", time.Time{}, false},
		"also where owners go round in a circle":        {[]liveObject{object("Pod", "a", 9, "Pod/b"), object("Pod", "b", 8, "Pod/a")}, "Pod", "a", minute(8), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			want := scope{namespace: "demo", builtIn: tc.builtIn}
			if !tc.want.IsZero() {
				want.since = tc.want.Add(-beforeBeginning)
			}
			if got := (scope{namespace: "demo"}).narrow(tc.live, tc.kind, tc.name); got != want {
				t.Errorf("narrowed to %+v, want %+v", got, want)
			}
		})
	}
}

// TestNarrowToOnePod: its node and its scheduler bound what is read, of a living Pod only.
func TestNarrowToOnePod(t *testing.T) {
	pod := func(name, schedulerName string) liveObject {
		o := liveObject{}
		o.Kind, o.Name, o.UID = "Pod", name, types.UID(name)
		o.OwnerReferences = []metav1.OwnerReference{{UID: "owner"}}
		o.Spec.NodeName, o.Spec.SchedulerName = "one", schedulerName
		return o
	}
	owner := liveObject{}
	owner.Kind, owner.Name, owner.UID = "TeachingReplicaSet", "web", "owner"
	live := []liveObject{owner, pod("default", corev1.DefaultSchedulerName), pod("ours", "podtrail-scheduler")}
	for name, tc := range map[string]struct {
		pod              string
		node             string
		defaultScheduler bool
	}{
		"of Kubernetes' own scheduler": {"default", "one", true},
		"of another scheduler":         {"ours", "one", false},
		"that is gone":                 {"gone", "", false},
	} {
		got := (scope{namespace: "demo", pod: tc.pod}).narrow(live, "Pod", tc.pod)
		if got.node != tc.node || got.defaultScheduler != tc.defaultScheduler {
			t.Errorf("a Pod %s: node %q, default scheduler %v; want %q, %v", name, got.node, got.defaultScheduler, tc.node, tc.defaultScheduler)
		}
	}
	if of := (scope{namespace: "demo"}).narrow(live, "TeachingReplicaSet", "web"); of.node != "" || of.defaultScheduler {
		t.Errorf("of several Pods: narrowed to node %q, default scheduler %v; want neither", of.node, of.defaultScheduler)
	}
}

// TestScopeWants: a keeper is asked unless it can hold nothing of the object.
func TestScopeWants(t *testing.T) {
	part := func(component, recorderOf, node string) kept {
		pod := &corev1.Pod{}
		pod.Labels = map[string]string{recorderLabel: recorderOf}
		pod.Spec.NodeName = node
		return kept{keeper: keeper{component: component}, pod: pod}
	}
	for name, tc := range map[string]struct {
		scope scope
		part  kept
		want  bool
	}{
		"the recorder of the Pod's node":               {scope{node: "one"}, part("recorder", "node", "one"), true},
		"that of another node":                         {scope{node: "one"}, part("recorder", "node", "two"), false},
		"that of any node, if the Pod has none":        {scope{}, part("recorder", "node", "two"), true},
		"that of a control plane, which has the audit": {scope{node: "one"}, part("recorder", "control-plane", "cp"), true},
		"the manager, of what it may have made":        {scope{}, part("manager", "", "two"), true},
		"the manager, of what it did not make":         {scope{builtIn: true}, part("manager", "", "two"), false},
		"the scheduler":                                {scope{node: "one", builtIn: true}, part("scheduler", "", "two"), true},
		"the scheduler, of a Pod that is not for it":   {scope{defaultScheduler: true}, part("scheduler", "", "two"), false},
	} {
		if got := tc.scope.wants(tc.part); got != tc.want {
			t.Errorf("%s: wanted %v, want %v", name, got, tc.want)
		}
	}
}

// TestScopeTells: an event is left out if it was seen last before the scope begins, and only then.
func TestScopeTells(t *testing.T) {
	minute := func(n int) time.Time { return time.Date(2026, 5, 4, 10, n, 0, 0, time.UTC) }
	created := func(n int) corev1.Event {
		return corev1.Event{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(minute(n))}}
	}
	again, series := created(3), created(3)
	again.LastTimestamp = metav1.NewTime(minute(6))
	series.Series = &corev1.EventSeries{LastObservedTime: metav1.NewMicroTime(minute(6))}
	for name, tc := range map[string]struct {
		since time.Time
		event corev1.Event
		want  bool
	}{
		"of before":                          {minute(5), created(4), false},
		"of the first moment":                {minute(5), created(5), true},
		"of before, seen again":              {minute(5), again, true},
		"of before, in a series":             {minute(5), series, true},
		"without a time":                     {minute(5), corev1.Event{}, true},
		"of any time, if there is no bound":  {time.Time{}, created(4), true},
		"without a time, if there is no one": {time.Time{}, corev1.Event{}, true},
	} {
		if got := (scope{since: tc.since}).tells(&tc.event); got != tc.want {
			t.Errorf("%s: told %v, want %v", name, got, tc.want)
		}
	}
}

// TestAddEventsLeavesOutWhatCannotBeRead: the other events count, and the error says so.
func TestAddEventsLeavesOutWhatCannotBeRead(t *testing.T) {
	good := corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "good"}, Reason: "Scheduled"}
	good.InvolvedObject.UID = "pod"
	late := good
	late.Name, late.LastTimestamp = "late", metav1.NewTime(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))
	e := Evidence{events: []corev1.Event{late, good}}
	if err := e.addEvents(scope{}); err == nil {
		t.Error("no error about the event of the year 10000")
	}
	if len(e.Records) != 1 || len(e.told) != 1 {
		t.Errorf("%d records told %d times, want the good one", len(e.Records), len(e.told))
	}
}
