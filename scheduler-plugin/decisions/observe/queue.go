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

// queue is the scheduling queue, and keeps the call that is moving Pods. The queue does not expose why it moves a Pod,
// but it calls PreEnqueue for the Pod, under its lock and within the call for the event, and the plugin observes that.
//
// The calls that can move a Pod are made one at a time. That costs nothing, because they take the queue's lock anyway.
// Only the queue's timers move Pods without a call, and the queue itself marks the Pods that waited too long.
type queue struct {
	internalqueue.SchedulingQueue
	waiting *waitingPods
	report  func(moved)

	mu    sync.Mutex
	cause atomic.Pointer[cause]
}

// cause is a call that can move Pods.
type cause struct {
	event    fwk.ClusterEvent
	old, new any
}

// moved is a Pod that the queue moved out of the unschedulable Pods.
type moved struct {
	pod *corev1.Pod
	at  time.Time
	// because is nil if a timer of the queue moved the Pod.
	because *cause
	waiting waitingPod
}

// during runs call and keeps its cause meanwhile. It does not if no recorded Pod waits.
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

// onEnqueue is called by the plugin's PreEnqueue, under the queue's lock.
func (q *queue) onEnqueue(pod *corev1.Pod) {
	if w, ok := q.waiting.take(pod.UID); ok {
		q.report(moved{pod: pod, at: time.Now(), because: q.cause.Load(), waiting: w})
	}
}

// MoveAllToActiveOrBackoffQueue is called for almost all events.
func (q *queue) MoveAllToActiveOrBackoffQueue(logger klog.Logger, event fwk.ClusterEvent, oldObj, newObj any, preCheck internalqueue.PreEnqueueCheck) {
	q.during(&cause{event: event, old: oldObj, new: newObj}, func() {
		q.SchedulingQueue.MoveAllToActiveOrBackoffQueue(logger, event, oldObj, newObj, preCheck)
	})
}

// AssignedPodAdded moves Pods that a newly bound Pod may help.
func (q *queue) AssignedPodAdded(logger klog.Logger, pod *corev1.Pod) {
	q.during(&cause{event: framework.EventAssignedPodAdd, new: pod}, func() { q.SchedulingQueue.AssignedPodAdded(logger, pod) })
}

// AssignedPodUpdated moves Pods that a change of a bound Pod may help.
func (q *queue) AssignedPodUpdated(logger klog.Logger, oldPod, newPod *corev1.Pod, event fwk.ClusterEvent) {
	q.during(&cause{event: event, old: oldPod, new: newPod}, func() {
		q.SchedulingQueue.AssignedPodUpdated(logger, oldPod, newPod, event)
	})
}

// Update moves a Pod because the Pod itself changed.
func (q *queue) Update(ctx context.Context, oldPod, newPod *corev1.Pod) {
	q.during(&cause{event: framework.EventUnscheduledPodUpdate, old: oldPod, new: newPod}, func() {
		q.SchedulingQueue.Update(ctx, oldPod, newPod)
	})
}

// AddUnschedulableIfNotPresent puts a Pod back after an attempt, and moves it at once if an event came meanwhile.
func (q *queue) AddUnschedulableIfNotPresent(logger klog.Logger, info *framework.QueuedPodInfo, cycle int64) (err error) {
	q.during(&cause{event: fwk.ClusterEvent{CustomLabel: framework.ScheduleAttemptFailure}}, func() {
		err = q.SchedulingQueue.AddUnschedulableIfNotPresent(logger, info, cycle)
	})
	return err
}

// Delete removes a Pod.
func (q *queue) Delete(pod *corev1.Pod) {
	q.waiting.take(pod.UID)
	q.SchedulingQueue.Delete(pod)
}

// waitingPod is a refused Pod whose decisions are recorded.
type waitingPod struct {
	profile   *profile
	rejectors []string
}

// waitingPods are the recorded Pods that wait for an event. They are among the Pods that the queue holds.
type waitingPods struct {
	mu   sync.Mutex
	pods map[types.UID]waitingPod
	n    atomic.Int64
}

func (w *waitingPods) empty() bool { return w.n.Load() == 0 }

func (w *waitingPods) add(uid types.UID, pod waitingPod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods[uid] = pod
	w.n.Store(int64(len(w.pods)))
}

// take removes the Pod and returns it, and whether it waited.
func (w *waitingPods) take(uid types.UID) (waitingPod, bool) {
	if w.empty() {
		return waitingPod{}, false
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
	// fn is nil if every such event wakes the plugin's Pods.
	fn fwk.QueueingHintFn
}

// hintsOf returns the hints of a profile. It mirrors buildQueueingHintMap in pkg/scheduler/scheduler.go.
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

// record returns what woke the Pod. It may ask queueing hints again, so it must not be called under the queue's lock.
func (m moved) record(logger klog.Logger) decision.Move {
	if m.because == nil {
		return decision.Move{Event: framework.EventUnschedulableTimeout.Label()}
	}
	out := decision.Move{Event: m.because.event.Label(), Object: describeObject(m.because.old, m.because.new)}
	var candidates []hint
	for _, h := range m.waiting.profile.hints {
		if slices.Contains(m.waiting.rejectors, h.plugin) && framework.MatchClusterEvents(h.event, m.because.event) {
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

// describeObject returns kind and name of an event's object, such as "Node worker2" or "Pod demo/web". The last object
// that is not nil counts.
func describeObject(objects ...any) string {
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
