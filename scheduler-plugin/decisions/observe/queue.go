// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	internalqueue "k8s.io/kubernetes/pkg/scheduler/backend/queue"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"podtrail.dev/podtrail/trail/decision"
)

// queue is the scheduling queue with a note of which call is moving Pods. The queue says of no Pod why it took it up;
// but it calls PreEnqueue for it, under its lock and within the call that the event made, and the plugin hears that.
//
// The calls that can move a Pod are made one at a time, which costs nothing: the queue's own lock does the same. Only
// the queue's timers move Pods without a call, and those that waited too long are marked by the queue itself.
type queue struct {
	internalqueue.SchedulingQueue
	waiting *waiting
	report  func(moved)

	mu    sync.Mutex
	cause atomic.Pointer[cause]
}

// cause is a call that can move Pods.
type cause struct {
	event    fwk.ClusterEvent
	old, new any
}

// moved is a Pod that the queue took up.
type moved struct {
	pod *corev1.Pod
	at  time.Time
	// because is nil if the queue's own timer did it.
	because *cause
	waiter  waiter
}

// during notes the cause while call runs. While no recorded Pod waits, there is nothing to note.
func (q *queue) during(c *cause, call func()) {
	if q.waiting.empty() {
		call()
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cause.Store(c)
	defer q.cause.Store(nil)
	call()
}

// enqueued is called by the plugin's PreEnqueue, under the queue's lock.
func (q *queue) enqueued(pod *corev1.Pod) {
	if w, ok := q.waiting.take(pod.UID); ok {
		q.report(moved{pod: pod, at: time.Now(), because: q.cause.Load(), waiter: w})
	}
}

// MoveAllToActiveOrBackoffQueue is what almost all events come to.
func (q *queue) MoveAllToActiveOrBackoffQueue(logger klog.Logger, event fwk.ClusterEvent, oldObj, newObj any, preCheck internalqueue.PreEnqueueCheck) {
	q.during(&cause{event: event, old: oldObj, new: newObj}, func() {
		q.SchedulingQueue.MoveAllToActiveOrBackoffQueue(logger, event, oldObj, newObj, preCheck)
	})
}

// AssignedPodAdded moves Pods for which a bound Pod makes a difference.
func (q *queue) AssignedPodAdded(logger klog.Logger, pod *corev1.Pod) {
	q.during(&cause{event: framework.EventAssignedPodAdd, new: pod}, func() { q.SchedulingQueue.AssignedPodAdded(logger, pod) })
}

// AssignedPodUpdated is the same for a change.
func (q *queue) AssignedPodUpdated(logger klog.Logger, oldPod, newPod *corev1.Pod, event fwk.ClusterEvent) {
	q.during(&cause{event: event, old: oldPod, new: newPod}, func() {
		q.SchedulingQueue.AssignedPodUpdated(logger, oldPod, newPod, event)
	})
}

// Update moves a Pod because of its own change.
func (q *queue) Update(ctx context.Context, oldPod, newPod *corev1.Pod) {
	q.during(&cause{event: framework.EventUnscheduledPodUpdate, old: oldPod, new: newPod}, func() {
		q.SchedulingQueue.Update(ctx, oldPod, newPod)
	})
}

// AddUnschedulableIfNotPresent puts a Pod back after an attempt, and takes it up at once if an event came meanwhile.
func (q *queue) AddUnschedulableIfNotPresent(logger klog.Logger, info *framework.QueuedPodInfo, cycle int64) (err error) {
	q.during(&cause{event: fwk.ClusterEvent{CustomLabel: framework.ScheduleAttemptFailure}}, func() {
		err = q.SchedulingQueue.AddUnschedulableIfNotPresent(logger, info, cycle)
	})
	return err
}

// Delete forgets a Pod.
func (q *queue) Delete(pod *corev1.Pod) {
	q.waiting.take(pod.UID)
	q.SchedulingQueue.Delete(pod)
}

// waiter is a recorded Pod that was refused.
type waiter struct {
	profile   *profile
	rejectors []string
}

// waiting are the recorded Pods that wait for an event. It holds no more than the queue does, and less of each.
type waiting struct {
	mu   sync.Mutex
	pods map[types.UID]waiter
	n    atomic.Int64
}

func (w *waiting) empty() bool { return w.n.Load() == 0 }

func (w *waiting) add(uid types.UID, pod waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods[uid] = pod
	w.n.Store(int64(len(w.pods)))
}

// take returns the Pod, which then no longer waits.
func (w *waiting) take(uid types.UID) (waiter, bool) {
	if w.empty() {
		return waiter{}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	pod, ok := w.pods[uid]
	delete(w.pods, uid)
	w.n.Store(int64(len(w.pods)))
	return pod, ok
}

// hint is a plugin's queueing hint for an event.
type hint struct {
	event  fwk.ClusterEvent
	plugin string
	// fn is nil if the plugin takes every such event for worth it.
	fn fwk.QueueingHintFn
}

// hintsOf returns the hints of a profile as buildQueueingHintMap of pkg/scheduler/scheduler.go makes them.
func hintsOf(ctx context.Context, extensions []fwk.EnqueueExtensions) ([]hint, error) {
	var out []hint
	for _, extension := range extensions {
		events, err := extension.EventsToRegister(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking %s for its events: %w", extension.Name(), err)
		}
		added, tainted := false, false
		for _, e := range events {
			out = append(out, hint{event: e.Event, plugin: extension.Name(), fn: e.QueueingHintFn})
			if e.Event.Resource == fwk.Node {
				added = added || e.Event.ActionType&fwk.Add != 0
				tainted = tainted || e.Event.ActionType&fwk.UpdateNodeTaint != 0
			}
		}
		if added && !tainted {
			out = append(out, hint{event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.UpdateNodeTaint}, plugin: extension.Name()})
		}
	}
	return out, nil
}

// move tells what woke a Pod. It may ask queueing hints again, so it is not called under the queue's lock.
func (m moved) move(logger klog.Logger) decision.Move {
	if m.because == nil {
		return decision.Move{Event: framework.EventUnschedulableTimeout.Label()}
	}
	out := decision.Move{Event: m.because.event.Label(), Object: objectWords(m.because.old, m.because.new)}
	var candidates []hint
	for _, h := range m.waiter.profile.hints {
		if slices.Contains(m.waiter.rejectors, h.plugin) && framework.MatchClusterEvents(h.event, m.because.event) {
			candidates = append(candidates, h)
			out.Plugins = append(out.Plugins, h.plugin)
		}
	}
	slices.Sort(out.Plugins)
	if out.Plugins = slices.Compact(out.Plugins); len(out.Plugins) < 2 {
		return out
	}
	out.Plugins, out.Evaluated = nil, true
	for _, h := range candidates {
		if h.queues(logger, m) {
			out.Plugins = append(out.Plugins, h.plugin)
		}
	}
	slices.Sort(out.Plugins)
	out.Plugins = slices.Compact(out.Plugins)
	return out
}

func (h hint) queues(logger klog.Logger, m moved) bool {
	if h.fn == nil {
		return true
	}
	answer, err := h.fn(logger, m.pod, m.because.old, m.because.new)
	return err != nil || answer == fwk.Queue
}

// objectWords names what an event is about, as "Node worker2" or "Pod demo/web".
func objectWords(objects ...any) string {
	for _, object := range slices.Backward(objects) {
		meta, ok := object.(metav1.Object)
		if !ok || reflect.ValueOf(object).IsNil() {
			continue
		}
		kind := reflect.TypeOf(object).Elem().Name()
		if meta.GetNamespace() != "" {
			return kind + " " + meta.GetNamespace() + "/" + meta.GetName()
		}
		return kind + " " + meta.GetName()
	}
	return ""
}
