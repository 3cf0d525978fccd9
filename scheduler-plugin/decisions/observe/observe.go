// SPDX-License-Identifier: Apache-2.0

// Package observe records what a scheduler decides. It wraps the scheduler's framework, queue and preemption, passes
// each call on, and keeps the answer. It changes no answer and waits for nothing: whatever takes time is done by one
// goroutine of its own (Recorder.Run).
package observe

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"podtrail.dev/podtrail/scheduler-plugin/decisions"
	"podtrail.dev/podtrail/scheduler-plugin/decisions/evaluate"
	"podtrail.dev/podtrail/trail/decision"
)

// profile is one profile of the scheduler that enables the plugin.
type profile struct {
	name      string
	plugin    *decisions.DecisionRecorder
	nodes     evaluate.NodeCache
	pool      bufferPool
	evaluator *evaluate.Evaluator
	hints     []hint
	recorder  *Recorder
}

// Attach makes the recorder observe the profiles that enable the plugin DecisionRecorder. configured are the profiles
// that the scheduler was created with, registry the plugins beside upstream's. It must be called after scheduler.New
// and before the informers start and the scheduler runs. The scheduler's profiles, its queue and the two functions that
// it replaces are exported fields.
func (r *Recorder) Attach(ctx context.Context, sched *scheduler.Scheduler, configured []config.KubeSchedulerProfile, registry frameworkruntime.Registry) error {
	for _, c := range configured {
		inner := sched.Profiles[c.SchedulerName]
		plugin := pluginOf(inner)
		if plugin == nil {
			continue
		}
		p := &profile{name: c.SchedulerName, plugin: plugin, recorder: r}
		var err error
		if p.evaluator, err = evaluate.New(ctx, inner, c, registry); err != nil {
			return err
		}
		if p.hints, err = hintsOf(ctx, inner.EnqueueExtensions()); err != nil {
			return fmt.Errorf("profile %q: %w", p.name, err)
		}
		plugin.OnEnqueue(r.queue.onEnqueue)
		for _, extension := range inner.EnqueueExtensions() {
			if p, ok := extension.(*defaultpreemption.DefaultPreemption); ok {
				r.watchVictims(p.Executor)
			}
		}
		r.profiles[p.name] = p
		sched.Profiles[p.name] = &observedFramework{Framework: inner, profile: p}
	}
	r.queue.SchedulingQueue = sched.SchedulingQueue
	sched.SchedulingQueue = r.queue
	sched.SchedulePod = r.schedulePod(sched.SchedulePod)
	sched.FailureHandler = r.failureHandler(sched.FailureHandler)
	return nil
}

// pluginOf returns the framework's instance of the plugin, or nil if its profile does not enable it.
func pluginOf(f framework.Framework) *decisions.DecisionRecorder {
	for _, plugin := range f.PreEnqueuePlugins() {
		if recorder, ok := plugin.(*decisions.DecisionRecorder); ok {
			return recorder
		}
	}
	return nil
}

// schedulePod observes the scheduling of one Pod up to the choice of a node.
func (r *Recorder) schedulePod(next schedulePodFunc) schedulePodFunc {
	return func(ctx context.Context, f framework.Framework, state fwk.CycleState, info *framework.QueuedPodInfo) (scheduler.ScheduleResult, error) {
		o, ok := f.(*observedFramework)
		if !ok {
			return next(ctx, f, state, info)
		}
		r.queue.waiting.take(info.Pod.UID)
		o.current.Store(nil)
		if o.profile.plugin.Wants(info.Pod.Namespace) {
			o.current.Store(newAttempt(o.profile, info))
		}
		result, err := next(ctx, f, state, info)
		if a := o.current.Load(); a != nil {
			a.addFilterStep()
		}
		return result, err
	}
}

type schedulePodFunc = func(context.Context, framework.Framework, fwk.CycleState, *framework.QueuedPodInfo) (scheduler.ScheduleResult, error)

// failureHandler observes the end of a cycle that did not bind the Pod, before the Pod goes back into the queue.
func (r *Recorder) failureHandler(next scheduler.FailureHandlerFn) scheduler.FailureHandlerFn {
	return func(ctx context.Context, f framework.Framework, info *framework.QueuedPodInfo, status *fwk.Status, nominating *fwk.NominatingInfo, start time.Time) {
		if o, ok := f.(*observedFramework); ok {
			r.onCycleFailed(o, info.Pod, status)
		}
		next(ctx, f, info, status, nominating, start)
	}
}

func (r *Recorder) onCycleFailed(o *observedFramework, pod *corev1.Pod, status *fwk.Status) {
	outcome := decision.Failed
	if status.IsRejected() {
		outcome = decision.Unschedulable
	}
	if !r.endBinding(pod, outcome, status.Message()) {
		a := o.current.Load()
		if a == nil || a.pod.UID != string(pod.UID) {
			return
		}
		o.current.Store(nil)
		a.onFailed(status)
		r.submit(a.bytes(), func(ctx context.Context) { r.keepAttempt(ctx, a) })
	}
	if outcome == decision.Unschedulable {
		r.queue.waiting.add(pod.UID, waitingPod{profile: o.profile, rejectors: rejectors(status)})
	}
}

// watchVictims observes the Pods that preemption evicts, through the exported function of its executor.
func (r *Recorder) watchVictims(executor *preemption.Executor) {
	next := executor.PreemptPod
	executor.PreemptPod = func(ctx context.Context, c preemption.Candidate, preemptor preemption.ExecutorPreemptor, victim *corev1.Pod, plugin string) error {
		at := time.Now()
		err := next(ctx, c, preemptor, victim, plugin)
		pod := podOf(preemptor)
		if pod == nil || !r.wants(pod) {
			return err
		}
		v := &decision.Victim{Pod: identity(victim), Node: c.Name()}
		if err != nil {
			v.Error = err.Error()
		}
		r.submit(smallBytes, func(context.Context) {
			r.keep(decision.Record{Pod: identity(pod), Scheduler: pod.Spec.SchedulerName, Time: at.UTC(), Victim: v})
		})
		return err
	}
}

// podOf returns the preemptor if it is a Pod, or nil if it is a group of Pods.
func podOf(preemptor preemption.ExecutorPreemptor) *corev1.Pod {
	for _, pod := range preemptor.Pods() {
		if pod.UID == preemptor.UID() {
			return pod
		}
	}
	return nil
}

// onMoved records a move. It is called under the queue's lock.
func (r *Recorder) onMoved(m moved) {
	r.submit(smallBytes, func(ctx context.Context) {
		move := m.record(klog.FromContext(ctx))
		r.keep(decision.Record{Pod: identity(m.pod), Scheduler: m.waiting.profile.name, Time: m.at.UTC(), Move: &move})
	})
}
