// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/wrappers"
)

// TestCalculateStatus carries the cases of upstream's test of this name that do not turn features off.
func TestCalculateStatus(t *testing.T) {
	partly := wrappers.MakeTeachingReplicaSet("ns", "web").TemplateLabels(map[string]string{"app": "web"}).Obj()
	full := wrappers.MakeTeachingReplicaSet("ns", "web").Generation(7).
		TemplateLabels(map[string]string{"app": "web", "type": "production"}).Obj()
	slow := wrappers.MakeTeachingReplicaSet("ns", "web").Generation(7).MinReadySeconds(3600).Obj()
	ready := func(labelsOf *podtrailv1alpha1.TeachingReplicaSet, ago time.Duration) *corev1.Pod {
		return wrappers.MakePod("ns", "pod").Of(labelsOf).Ready(testNow.Add(-ago)).Obj()
	}
	terminating := wrappers.MakePod("ns", "old").Of(full).Deleted(testNow).Obj()
	type counts struct{ Replicas, Labeled, Ready, Available, Terminating int32 }
	tests := map[string]struct {
		owner       *podtrailv1alpha1.TeachingReplicaSet
		active      []*corev1.Pod
		terminating []*corev1.Pod
		want        counts
	}{
		"1 fully labelled Pod":          {full, []*corev1.Pod{ready(full, 0)}, nil, counts{1, 1, 1, 1, 0}},
		"1 not fully labelled Pod":      {full, []*corev1.Pod{ready(partly, 0)}, nil, counts{1, 0, 1, 1, 0}},
		"2 fully labelled Pods":         {full, []*corev1.Pod{ready(full, 0), ready(full, 0)}, nil, counts{2, 2, 2, 2, 0}},
		"2 not fully labelled Pods":     {full, []*corev1.Pod{ready(partly, 0), ready(partly, 0)}, nil, counts{2, 0, 2, 2, 0}},
		"1 fully labelled and 1 not":    {full, []*corev1.Pod{ready(full, 0), ready(partly, 0)}, nil, counts{2, 1, 2, 2, 0}},
		"1 not ready":                   {full, []*corev1.Pod{wrappers.MakePod("ns", "pod").Of(full).Obj()}, nil, counts{1, 1, 0, 0, 0}},
		"1 ready but not available":     {slow, []*corev1.Pod{ready(slow, 0)}, nil, counts{1, 1, 1, 0, 0}},
		"1 ready not quite long enough": {slow, []*corev1.Pod{ready(slow, time.Hour-1)}, nil, counts{1, 1, 1, 0, 0}},
		"1 available just now":          {slow, []*corev1.Pod{ready(slow, time.Hour)}, nil, counts{1, 1, 1, 1, 0}},
		"1 available for a long time":   {slow, []*corev1.Pod{ready(slow, 2*time.Hour)}, nil, counts{1, 1, 1, 1, 0}},
		"1 fully labelled and 2 terminating": {
			full, []*corev1.Pod{ready(full, 0)}, []*corev1.Pod{terminating, terminating}, counts{1, 1, 1, 1, 2},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := CalculateStatus(observe(t, tc.owner), tc.active, tc.terminating, Outcome{})
			want := podtrailv1alpha1.TeachingReplicaSetStatus{
				Replicas: tc.want.Replicas, FullyLabeledReplicas: tc.want.Labeled, ReadyReplicas: tc.want.Ready,
				AvailableReplicas: tc.want.Available, TerminatingReplicas: ptr.To(tc.want.Terminating),
				ObservedGeneration: 7, Selector: "app=web",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Status differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCalculateStatusConditions carries the cases of upstream's test of this name, and those of TestGetCondition,
// TestSetCondition and TestRemoveCondition, whose functions are apimachinery's here.
func TestCalculateStatusConditions(t *testing.T) {
	before := metav1.NewTime(testNow.Add(-time.Hour))
	failure := func(reason, message string, since metav1.Time) metav1.Condition {
		return metav1.Condition{
			Type: podtrailv1alpha1.ReplicaFailure, Status: metav1.ConditionTrue, Reason: reason, Message: message,
			LastTransitionTime: since, ObservedGeneration: 3,
		}
	}
	other := metav1.Condition{Type: "Other", Status: metav1.ConditionTrue, Reason: "Kept", LastTransitionTime: before}
	refused := errors.New("refused")
	creating, deleting := Plan{Create: []string{"a"}}, Plan{Delete: []Deletion{{}}}
	tests := map[string]struct {
		conditions []metav1.Condition
		outcome    Outcome
		want       []metav1.Condition
	}{
		"nothing failed":                 {outcome: Outcome{Plan: creating}},
		"a creation failed":              {outcome: Outcome{Plan: creating, Err: refused}, want: []metav1.Condition{failure("FailedCreate", "refused", metav1.NewTime(testNow))}},
		"a deletion failed":              {outcome: Outcome{Plan: deleting, Err: refused}, want: []metav1.Condition{failure("FailedDelete", "refused", metav1.NewTime(testNow))}},
		"other conditions stay":          {conditions: []metav1.Condition{other}, outcome: Outcome{Plan: creating}, want: []metav1.Condition{other}},
		"it works again":                 {conditions: []metav1.Condition{failure("FailedCreate", "x", before), other}, outcome: Outcome{Plan: creating}, want: []metav1.Condition{other}},
		"it fails for the same reason":   {conditions: []metav1.Condition{failure("FailedCreate", "first", before)}, outcome: Outcome{Plan: creating, Err: refused}, want: []metav1.Condition{failure("FailedCreate", "first", before)}},
		"it fails for another reason":    {conditions: []metav1.Condition{failure("FailedCreate", "first", before)}, outcome: Outcome{Plan: deleting, Err: refused}, want: []metav1.Condition{failure("FailedDelete", "refused", before)}},
		"it was not tried":               {conditions: []metav1.Condition{failure("FailedCreate", "first", before)}, outcome: Outcome{Unknown: true}, want: []metav1.Condition{failure("FailedCreate", "first", before)}},
		"it waits for its own writes":    {conditions: []metav1.Condition{failure("FailedCreate", "first", before)}, outcome: Outcome{Plan: Plan{Hold: HoldPending}}, want: []metav1.Condition{failure("FailedCreate", "first", before)}},
		"it is paused, so nothing fails": {conditions: []metav1.Condition{failure("FailedCreate", "first", before)}, outcome: Outcome{Plan: Plan{Hold: HoldPaused}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			owner := wrappers.MakeTeachingReplicaSet("ns", "web").Generation(3).
				Status(podtrailv1alpha1.TeachingReplicaSetStatus{Conditions: tc.conditions}).Obj()
			kept := owner.DeepCopy()
			got := CalculateStatus(observe(t, owner), nil, nil, tc.outcome)
			if diff := cmp.Diff(tc.want, got.Conditions, equateEmpty); diff != "" {
				t.Errorf("Conditions differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(kept, owner); diff != "" {
				t.Errorf("The observed object was changed:\n%s", diff)
			}
		})
	}
}

var equateEmpty = cmp.Transformer("empty", func(in []metav1.Condition) []metav1.Condition {
	return append([]metav1.Condition{}, in...)
})

// TestNextAvailability covers upstream's tests of FindMinNextPodAvailabilityCheck.
func TestNextAvailability(t *testing.T) {
	ready := func(ago time.Duration) *corev1.Pod {
		return wrappers.MakePod("ns", "pod").Ready(testNow.Add(-ago)).Obj()
	}
	tests := map[string]struct {
		pods            []*corev1.Pod
		minReadySeconds int32
		want            time.Duration
	}{
		"no Pods":                   {minReadySeconds: 10},
		"no minReadySeconds":        {pods: []*corev1.Pod{ready(0)}},
		"not ready":                 {pods: []*corev1.Pod{wrappers.MakePod("ns", "pod").Obj()}, minReadySeconds: 10},
		"ready for ever":            {pods: []*corev1.Pod{ready(time.Hour)}, minReadySeconds: 10},
		"ready just long enough":    {pods: []*corev1.Pod{ready(10 * time.Second)}, minReadySeconds: 10},
		"the first of several":      {pods: []*corev1.Pod{ready(2 * time.Second), ready(7 * time.Second), ready(time.Hour)}, minReadySeconds: 10, want: 3 * time.Second},
		"has no transition time":    {pods: []*corev1.Pod{wrappers.MakePod("ns", "pod").Ready(time.Time{}).Obj()}, minReadySeconds: 10},
		"ready since a later clock": {pods: []*corev1.Pod{ready(-5 * time.Second)}, minReadySeconds: 10, want: 15 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := NextAvailability(tc.pods, tc.minReadySeconds, testNow); got != tc.want {
				t.Errorf("Got %s, want %s", got, tc.want)
			}
		})
	}
}
