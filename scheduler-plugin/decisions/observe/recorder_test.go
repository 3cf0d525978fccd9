// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/source"
)

func all(buffer.About) bool { return true }

// TestMemoryIsBounded: records and observations that are not recorded yet stay together below the limit.
func TestMemoryIsBounded(t *testing.T) {
	const limit = 1 << 20
	r := NewRecorder(limit, nil)
	begin := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	const same = 7 // the nodes change often
	nodesOf := func(i int) []string { return slices.Repeat([]string{fmt.Sprintf("node-%04d", i/same)}, 200) }
	var nodes []string
	record := func(i int) decision.Record {
		if i%same == 0 || nodes == nil {
			nodes = nodesOf(i)
		}
		return decision.Record{
			Pod: decision.Pod{Namespace: "demo", Name: "web", UID: "u"}, Time: begin.Add(time.Duration(i) * time.Second),
			Attempt: &decision.Attempt{Number: i, Message: strings.Repeat("x", 10<<10), Matrix: decision.Matrix{Nodes: nodes}},
		}
	}
	const attempts = 1000
	for i := 1; i <= attempts; i++ {
		r.submit(smallBytes, func(context.Context) {}) // nobody runs: it stays
		r.keep(record(i))
		if held := r.Status().KeptBytes + r.pendingBytes.Load(); held > limit {
			t.Fatalf("After %d attempts %d bytes are held, want at most %d", i, held, limit)
		}
	}
	status := r.Status()
	if status.Dropped == 0 || status.Malformed == 0 || status.LastError == "" {
		t.Fatalf("Status %+v: want records that were dropped, and observations that were missed", status)
	}
	var numbers []int
	for served := range r.Records(all) {
		d, err := source.DecodeDecision(served)
		if err != nil {
			t.Fatalf("Decoding a record: %v", err)
		}
		numbers = append(numbers, d.Attempt.Number)
		if diff := cmp.Diff(nodesOf(d.Attempt.Number), d.Attempt.Matrix.Nodes); diff != "" {
			t.Fatalf("Nodes of attempt %d (-want +got):\n%s", d.Attempt.Number, diff)
		}
	}
	if len(numbers) < 2 || numbers[len(numbers)-1] != attempts || numbers[0] != attempts-len(numbers)+1 {
		t.Errorf("Attempts %v are kept, want the last ones of the Pod, without a gap", numbers)
	}
}

func TestWhatWaitsIsRecordedInOrder(t *testing.T) {
	r := NewRecorder(1<<20, nil)
	var order []int
	done := make(chan struct{})
	for i := range 3 {
		r.submit(smallBytes, func(context.Context) { order = append(order, i) })
	}
	r.submit(smallBytes, func(context.Context) { close(done) })
	go r.Run(t.Context())
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Run did not take what waits within 10 s")
	}
	if diff := cmp.Diff([]int{0, 1, 2}, order); diff != "" {
		t.Errorf("Order (-want +got):\n%s", diff)
	}
}

func TestBudget(t *testing.T) {
	now := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	var b budget
	if !b.allows(now) {
		t.Fatal("The first evaluation is not allowed")
	}
	b.spend(maxBudget + time.Second)
	if b.allows(now.Add(time.Second)) {
		t.Error("Allowed a second after a second too much was spent")
	}
	if !b.allows(now.Add(time.Minute)) {
		t.Error("Not allowed after a minute, in which it got 1.2 s back")
	}
	b.spend(maxBudget + time.Millisecond)
	if b.allows(now.Add(time.Minute)) {
		t.Error("More was saved up than maxBudget")
	}
}

// TestMove: which plugin's hint moved a Pod.
func TestMove(t *testing.T) {
	says := func(answer fwk.QueueingHint, err error) fwk.QueueingHintFn {
		return func(klog.Logger, *corev1.Pod, any, any) (fwk.QueueingHint, error) { return answer, err }
	}
	nodeAdd := fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker"}}
	profile := &profile{hints: []hint{
		{event: nodeAdd, plugin: "Queues", fn: says(fwk.Queue, nil)},
		{event: nodeAdd, plugin: "Skips", fn: says(fwk.QueueSkip, nil)},
		{event: nodeAdd, plugin: "Fails", fn: says(fwk.QueueSkip, fmt.Errorf("no"))},
		{event: nodeAdd, plugin: "Always"},
		{event: fwk.ClusterEvent{Resource: fwk.PersistentVolume, ActionType: fwk.Add}, plugin: "Volumes"},
	}}
	because := &cause{event: nodeAdd, new: node}
	tests := map[string]struct {
		rejectors []string
		because   *cause
		want      decision.Move
	}{
		"the only rejector with a hint for it is known without asking": {
			rejectors: []string{"Skips", "Volumes"}, because: because,
			want: decision.Move{Event: "NodeAdd", Object: "Node worker", Plugins: []string{"Skips"}},
		},
		"of more than one those that answer Queue": {
			rejectors: []string{"Queues", "Skips", "Fails", "Always"}, because: because,
			want: decision.Move{Event: "NodeAdd", Object: "Node worker", Plugins: []string{"Always", "Fails", "Queues"}, Evaluated: true},
		},
		"an event that moves all": {
			rejectors: []string{"Queues"}, because: &cause{event: framework.EventForceActivate},
			want: decision.Move{Event: framework.EventForceActivate.Label()},
		},
		"no event but the timer": {rejectors: []string{"Queues"}, want: decision.Move{Event: "UnschedulableTimeout"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := moved{pod: &corev1.Pod{}, because: tc.because, waiting: waitingPod{profile: profile, rejectors: tc.rejectors}}
			if diff := cmp.Diff(tc.want, m.record(klog.Background())); diff != "" {
				t.Errorf("Move (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDescribeObject(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web"}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker"}}
	tests := map[string]struct {
		old, new any
		want     string
	}{
		"added":         {new: node, want: "Node worker"},
		"deleted":       {old: pod, want: "Pod demo/web"},
		"a nil of type": {old: pod, new: (*corev1.Pod)(nil), want: "Pod demo/web"},
		"nothing":       {want: ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := describeObject(tc.old, tc.new); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestWaitingForgets(t *testing.T) {
	w := &waitingPods{pods: map[types.UID]waitingPod{}}
	w.add("a", waitingPod{rejectors: []string{"Fit"}})
	if _, ok := w.take("b"); ok || w.empty() {
		t.Error("Another Pod was taken, or none waits")
	}
	if got, ok := w.take("a"); !ok || len(got.rejectors) != 1 || !w.empty() {
		t.Errorf("Took %+v, %v, empty %v: want the Pod, and none after it", got, ok, w.empty())
	}
}
