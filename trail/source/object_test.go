// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

func TestParseEvent(t *testing.T) {
	cases := map[string]struct {
		reason, message, fieldPath string
		wantFacts                  map[string]string
		wantDuration               time.Duration
		wantNone                   bool
	}{
		"a pull tells its time and the image's size": {
			reason: "Pulled", fieldPath: "spec.initContainers{proxy}",
			message:      `Successfully pulled image "r/app:v1" in 1.226s (1.5s including waiting). Image size: 4711000 bytes.`,
			wantFacts:    map[string]string{trail.FactImage: "r/app:v1", trail.FactPull: "1.226s (4.7 MB)", trail.FactContainer: "proxy"},
			wantDuration: 1226 * time.Millisecond,
		},
		"an image that was there": {
			reason: "Pulled", message: `Container image "r/app:v1" already present on machine and can be accessed by the pod`,
			wantFacts: map[string]string{trail.FactImage: "r/app:v1", trail.FactPull: "already on the node"},
		},
		"a pull told in other words claims nothing": {
			reason: "Pulled", message: "Pulled it", wantFacts: map[string]string{trail.FactEventReason: "Pulled"},
		},
		"a reason that belongs to no stage": {reason: "NodeReady", wantNone: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := source.ParseEvent(&corev1.Event{
				Reason: tc.reason, Message: tc.message,
				InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "x", UID: "u", FieldPath: tc.fieldPath},
			})
			if ok == tc.wantNone {
				t.Fatalf("told %v, want %v", ok, !tc.wantNone)
			}
			for key, want := range tc.wantFacts {
				if value, _ := got.Fact(key); value != want {
					t.Errorf("%s is %q, want %q", key, value, want)
				}
			}
			if got.Duration != tc.wantDuration {
				t.Errorf("took %s, want %s", got.Duration, tc.wantDuration)
			}
		})
	}
}

func TestWhatKeepsAPodFromRunning(t *testing.T) {
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	ended := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}}
	}
	cases := map[string]struct {
		status      corev1.PodStatus
		wantStage   trail.Stage
		wantFailure string
	}{
		"creating is no failure": {
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", State: waiting("ContainerCreating")}}},
		},
		"an image that can't be pulled": {
			status:    corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", State: waiting("ImagePullBackOff")}}},
			wantStage: trail.Run, wantFailure: "ImagePullBackOff",
		},
		"a crash loop names how it ended last": {
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "app", State: waiting("CrashLoopBackOff"), LastTerminationState: ended(2),
			}}},
			wantStage: trail.Run, wantFailure: "CrashLoopBackOff",
		},
		"an init container that failed": {
			status:    corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: "init", State: ended(1)}}},
			wantStage: trail.Run, wantFailure: "Error",
		},
		"an init container that is done": {
			status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: "init", State: ended(0)}}},
		},
		"no node": {
			status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes",
			}}},
			wantStage: trail.Schedule, wantFailure: "Unschedulable",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			observations := source.ParsePod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x", UID: "u"}, Status: tc.status})
			state := observations[0].State
			reason := ""
			if state.Failure != nil {
				reason = state.Failure.Reason
			}
			if state.FailedAt != tc.wantStage || reason != tc.wantFailure {
				t.Errorf("failed at %s with %q, want %s with %q", state.FailedAt, reason, tc.wantStage, tc.wantFailure)
			}
		})
	}
}

func TestFieldManagersAreTheEvidenceOfSubmit(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	observations := source.ParseWorkload("Deployment", &metav1.ObjectMeta{
		Name: "x", UID: "u", ResourceVersion: "9",
		ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, Time: &at},
			{Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status"},
		},
	}, 3)
	var got []trail.Fact
	for _, o := range observations {
		if o.Stage == trail.Submit {
			got = o.Facts
		}
	}
	want := []trail.Fact{
		{Key: "field manager", Value: "kubectl (Apply) at 2026-11-22T12:00:00Z"},
		{Key: "field manager", Value: "kube-controller-manager (Update) of status"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("facts (-want +got):\n%s", d)
	}
}
