// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
	"podtrail.dev/podtrail/test/upstream/bench/tables"
)

// TestRatios checks that rounds are compared with the same round of the other side only.
func TestRatios(t *testing.T) {
	at := func(side, title string, round int, exist time.Duration) measurement {
		return measurement{side: side, title: title, round: round, exist: exist}
	}
	results := []measurement{
		at(ours, "a", 0, 2*time.Second), at(unlimited, "a", 0, 4*time.Second), at(stock, "a", 0, 20*time.Second),
		at(unlimited, "a", 1, time.Second), at(ours, "a", 1, 3*time.Second),
		at(ours, "a", 2, 3*time.Second), at(ours, "b", 0, time.Second), at(unlimited, "b", 0, 0),
	}
	if diff := cmp.Diff([]float64{0.5, 3}, ratios(results, "a", unlimited, exist)); diff != "" {
		t.Errorf("Ratios differ (-want +got):\n%s", diff)
	}
	if got := ratios(results, "b", unlimited, exist); got != nil {
		t.Errorf("Got %v for a division by zero, want none", got)
	}
	if got := tables.Ratios([]float64{0.5, 3}); got != "1.75 (0.50–3.00)" {
		t.Errorf("Got %q", got)
	}
}

func TestTables(t *testing.T) {
	m := measurement{side: ours, title: "a cell", pods: 100, exist: time.Second, reported: 2 * time.Second, overshoot: 3,
		requests: plane.Counters{Sent: 110, Refused: 1, Kinds: map[string]int{
			"POST pods": 100, "PUT teachingreplicasets/status": 2, "POST events": 1, "PATCH events": 1, "PUT pods/status": 77,
		}},
		used: plane.Used{Controller: 500 * time.Millisecond, APIServer: 2 * time.Second, Etcd: time.Second, Peak: 50 << 20}}
	var b strings.Builder
	printTables(&b, []measurement{m})
	const want = "| a cell | podtrail | 1.00 | 2.00 | 100 | 2 | 2 | 6 | 1 | 1.080 | 0.50 | 2.00 | 1.00 | 50 | 3 |\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("No line %q in:\n%s", want, b.String())
	}
}

func TestChooseCells(t *testing.T) {
	tests := map[string]struct {
		names   string
		want    []string
		wantErr string
	}{
		"in the order in which they run": {names: "foreign,100", want: []string{"100", "foreign"}},
		"unknown":                        {names: "100,1000", wantErr: `"1000"`},
		"none":                           {names: "", wantErr: `""`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			chosen, err := chooseCells(tc.names)
			var got []string
			for _, c := range chosen {
				got = append(got, c.name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Cells differ (-want +got):\n%s", diff)
			}
			if (err != nil) != (tc.wantErr != "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("Got error %v, want one with %s", err, tc.wantErr)
			}
		})
	}
}

func TestParseOptions(t *testing.T) {
	paths := []string{"-manager=m", "-upstream=u", "-assets=a", "-crds=c"}
	tests := map[string]struct {
		args    []string
		wantErr string
	}{
		"right":                    {args: paths},
		"no rounds":                {args: append([]string{"-rounds=0"}, paths...), wantErr: "-rounds is 0"},
		"no time":                  {args: append([]string{"-timeout=0s"}, paths...), wantErr: "-timeout is 0s"},
		"an argument":              {args: append(paths[:4:4], "fast"), wantErr: `"fast"`},
		"without what it measures": {args: paths[1:], wantErr: "hack/bench-controller.sh"},
		"an unknown cell":          {args: append([]string{"-cells=7"}, paths...), wantErr: `"7"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o, err := parseOptions(tc.args)
			if tc.wantErr == "" && (err != nil || o.rounds != o.stockRounds) {
				t.Errorf("Got %d and %d rounds and error %v, want as many of each and none", o.rounds, o.stockRounds, err)
			}
			if tc.wantErr != "" && (!errors.Is(err, errUsage) || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("Got error %v, want a wrong use with %q", err, tc.wantErr)
			}
		})
	}
}

func newObserver() *observer {
	return &observer{kind: replicaSets, pods: map[types.UID]*corev1.Pod{}, active: map[types.UID]int{},
		reports: map[types.UID]report{}, changed: make(chan struct{})}
}

func ownedPod(uid, owner types.UID) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		UID: uid, OwnerReferences: []metav1.OwnerReference{{UID: owner, Controller: ptr.To(true)}},
	}}
}

// TestOvershoot checks that the most active Pods of any owner count, also when they are gone again, and that Pods which
// end, or which nobody controls, do not.
func TestOvershoot(t *testing.T) {
	o := newObserver()
	o.want(1)
	ended := ownedPod("ended", "a")
	ended.Status.Phase = corev1.PodFailed
	leaving := ownedPod("leaving", "a")
	leaving.DeletionTimestamp = &metav1.Time{}
	for _, pod := range []*corev1.Pod{ownedPod("1", "a"), ended, leaving, ownedPod("2", "b"), {ObjectMeta: metav1.ObjectMeta{UID: "orphan"}}} {
		o.pod(pod, true)
	}
	if seen, _ := o.look(); seen.overshoot != 0 || seen.pods != 2 {
		t.Errorf("Got overshoot %d of %d Pods, want 0 of 2", seen.overshoot, seen.pods)
	}
	o.pod(ownedPod("3", "a"), true)
	o.pod(ownedPod("3", "a"), true)
	o.pod(ownedPod("3", "a"), false)
	o.pod(ownedPod("2", "b"), true)
	if seen, _ := o.look(); seen.overshoot != 1 || seen.pods != 2 {
		t.Errorf("Got overshoot %d of %d Pods, want 1 of 2", seen.overshoot, seen.pods)
	}
}

// TestUntil checks what a wait ends with: the state, the deadline with what was seen last, or the process's problem.
func TestUntil(t *testing.T) {
	never := func(state) bool { return false }
	fine := func() error { return nil }
	broken := errors.New("it has ended")
	o := newObserver()
	o.pod(ownedPod("1", "a"), true)
	if _, err := o.until(t.Context(), "a Pod", time.Minute, func(s state) bool { return s.pods == 1 }, fine); err != nil {
		t.Errorf("Got error %v for a state that is there", err)
	}
	_, err := o.until(t.Context(), "two Pods", time.Millisecond, never, fine)
	if err == nil || !strings.Contains(err.Error(), "two Pods") || !strings.Contains(err.Error(), "seen last: 1 Pods") {
		t.Errorf("Got error %v, want one that says what was waited for and seen", err)
	}
	if _, err = o.until(t.Context(), "two Pods", time.Minute, never, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("Got error %v, want %v", err, broken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = o.until(ctx, "two Pods", time.Minute, never, fine); !errors.Is(err, context.Canceled) {
		t.Errorf("Got error %v, want %v", err, context.Canceled)
	}
}
