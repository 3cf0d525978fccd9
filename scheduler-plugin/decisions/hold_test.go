// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/ptr"
)

// fakeHandle is a handle with one Pod that waits in Permit from the third look on, until it is allowed.
type fakeHandle struct {
	fwk.Handle
	informers informers.SharedInformerFactory
	looks     atomic.Int64
	allowed   chan string
}

func (h *fakeHandle) ProfileName() string                                    { return "test" }
func (h *fakeHandle) SharedInformerFactory() informers.SharedInformerFactory { return h.informers }

func (h *fakeHandle) GetWaitingPod(types.UID) fwk.WaitingPod {
	if h.looks.Add(1) < 3 {
		return nil
	}
	return waitingPod{handle: h}
}

type waitingPod struct {
	fwk.WaitingPod
	handle *fakeHandle
}

func (p waitingPod) Allow(plugin string) { p.handle.allowed <- plugin }

func heldPod(change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "demo", Name: "web", UID: "web-uid", Annotations: map[string]string{HoldAnnotationKey: HoldAtPermit},
	}}
	if change != nil {
		change(pod)
	}
	return pod
}

// TestRelease: what ends the hold of a Pod. It is not listed as waiting when release begins to look.
func TestRelease(t *testing.T) {
	const never = time.Hour
	tests := map[string]struct {
		cached *corev1.Pod // nil if it is gone
		wait   time.Duration
		held   bool
	}{
		"the annotation":                     {cached: heldPod(nil), wait: never, held: true},
		"the annotation is gone":             {cached: heldPod(func(p *corev1.Pod) { p.Annotations = nil }), wait: never},
		"the annotation says something else": {cached: heldPod(func(p *corev1.Pod) { p.Annotations[HoldAnnotationKey] = "bind" }), wait: never},
		"the Pod is gone":                    {wait: never},
		"another Pod has its name":           {cached: heldPod(func(p *corev1.Pod) { p.UID = "other" }), wait: never},
		"the time is up":                     {cached: heldPod(nil), wait: time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
			if tc.cached != nil {
				if err := indexer.Add(tc.cached); err != nil {
					t.Fatalf("Filling the cache: %v", err)
				}
			}
			handle := &fakeHandle{allowed: make(chan string, 1)}
			pl := &DecisionRecorder{handle: handle, pods: corev1listers.NewPodLister(indexer)}
			go pl.release(klog.Background(), "demo", "web", "web-uid", time.Now().Add(tc.wait))
			// Long enough for ten looks.
			deadline := time.After(10 * holdCheckEvery)
			if !tc.held {
				deadline = time.After(30 * time.Second)
			}
			select {
			case plugin := <-handle.allowed:
				if tc.held || plugin != Name {
					t.Errorf("Allowed by %s, though held: %v", plugin, tc.held)
				}
			case <-deadline:
				if !tc.held {
					t.Error("Not allowed within 30 s")
				}
			}
		})
	}
}

// TestHoldEndsWithTheScheduler: when the scheduler ends, nothing looks after a held Pod any more. Permit's own context,
// which ends with the cycle, does not end the hold.
func TestHoldEndsWithTheScheduler(t *testing.T) {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(heldPod(nil)), 0)
	if err := factory.Core().V1().Pods().Informer().GetIndexer().Add(heldPod(nil)); err != nil {
		t.Fatalf("Filling the cache: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		scheduler, end := context.WithCancel(t.Context())
		handle := &fakeHandle{informers: factory, allowed: make(chan string, 1)}
		pl, err := New(scheduler, nil, handle)
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		cycle, endCycle := context.WithCancel(scheduler)
		if status, _ := pl.(*DecisionRecorder).Permit(cycle, framework.NewCycleState(), heldPod(nil), "worker"); !status.IsWait() {
			t.Fatalf("Status %v, want Wait", status)
		}
		endCycle()
		time.Sleep(10 * holdCheckEvery)
		if handle.looks.Load() < 9 {
			t.Errorf("%d looks for the Pod after its cycle has ended, want one each %s for as long as the scheduler runs", handle.looks.Load(), holdCheckEvery)
		}
		end()
		synctest.Wait()
		looks := handle.looks.Load()
		time.Sleep(time.Hour)
		if more := handle.looks.Load() - looks; more != 0 || len(handle.allowed) != 0 {
			t.Errorf("%d looks for the Pod after the scheduler has ended, and it was allowed %d times; want none", more, len(handle.allowed))
		}
	})
}

// TestPermit: who waits, and for how long.
func TestPermit(t *testing.T) {
	tests := map[string]struct {
		annotations map[string]string
		wantWait    time.Duration
		wantProblem string
	}{
		"who does not ask":         {},
		"who asks":                 {annotations: map[string]string{HoldAnnotationKey: HoldAtPermit}, wantWait: 7*time.Second + holdGrace},
		"who asks for another one": {annotations: map[string]string{HoldAnnotationKey: "bind"}, wantProblem: `annotation podtrail.dev/hold-at is "bind", want "permit": the Pod is not held`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
			pl := &DecisionRecorder{
				handle: &fakeHandle{allowed: make(chan string, 1)}, pods: corev1listers.NewPodLister(indexer),
				args: DecisionRecorderArgs{HoldTimeoutSeconds: ptr.To[int64](7)},
			}
			pod := heldPod(func(p *corev1.Pod) { p.Annotations = tc.annotations })
			state := framework.NewCycleState()
			began := time.Now()
			status, wait := pl.Permit(t.Context(), state, pod, "worker")
			if status.IsWait() != (tc.wantWait > 0) || wait != tc.wantWait {
				t.Errorf("Status %v, wait %s, want %s", status, wait, tc.wantWait)
			}
			hold := ReadHold(state)
			if (hold == nil) != (tc.annotations == nil) {
				t.Fatalf("Hold %+v for annotations %v", hold, tc.annotations)
			}
			if hold != nil && hold.Problem != tc.wantProblem {
				t.Errorf("Problem %q, want %q", hold.Problem, tc.wantProblem)
			}
			if tc.wantWait > 0 && hold.Until.Sub(began).Round(time.Second) != 7*time.Second {
				t.Errorf("Held until %s, which is in %s, want 7 s", hold.Until, hold.Until.Sub(began))
			}
		})
	}
}
