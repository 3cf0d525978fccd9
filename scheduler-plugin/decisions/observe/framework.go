// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"podtrail.dev/podtrail/scheduler-plugin/decisions"
	"podtrail.dev/podtrail/trail/decision"
)

// observedFramework is the framework of one profile, observed at each extension point that the scheduler runs. Each
// method calls the framework's own and returns its result; all other methods are the framework's
// (pkg/scheduler/framework/interface.go).
//
// The handle of the plugins is the framework itself and not this one, so what preemption tries out and what a batch
// looks up is not mistaken for the scheduler's decision.
type observedFramework struct {
	framework.Framework
	profile *profile
	// current is the attempt of the running cycle, or nil if it is not recorded. Cycles run one after another. A binding
	// cycle that fails checks whether the attempt is its own.
	current atomic.Pointer[attempt]
}

// RunPreFilterPlugins is the first to run after the scheduler has updated its snapshot.
func (o *observedFramework) RunPreFilterPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string]) {
	a := o.current.Load()
	if a == nil {
		return o.Framework.RunPreFilterPlugins(ctx, state, pod)
	}
	if nodes, err := o.SnapshotSharedLister().NodeInfos().List(); err == nil {
		a.onSnapshot(nodes)
	}
	began := time.Now()
	result, status, narrowing := o.Framework.RunPreFilterPlugins(ctx, state, pod)
	a.addStep("PreFilter", began, status)
	a.onPreFiltered(result, status, narrowing, state)
	return result, status, narrowing
}

// GetNodeHint returns the node that a batch offers.
func (o *observedFramework) GetNodeHint(ctx context.Context, pod *corev1.Pod, signature fwk.PodSignature, state fwk.CycleState, cycle int64) string {
	hint := o.Framework.GetNodeHint(ctx, pod, signature, state, cycle)
	if a := o.current.Load(); a != nil {
		a.record.BatchHint = hint
	}
	return hint
}

// RunFilterPluginsWithNominatedPods is called for each node that the scheduler looks at, concurrently.
func (o *observedFramework) RunFilterPluginsWithNominatedPods(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, info fwk.NodeInfo) *fwk.Status {
	status := o.Framework.RunFilterPluginsWithNominatedPods(ctx, state, pod, info)
	if a := o.current.Load(); a != nil {
		a.onNodeFiltered(info.Node().Name, status)
	}
	return status
}

// RunPostFilterPlugins preempts other Pods if that helps.
func (o *observedFramework) RunPostFilterPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	a := o.current.Load()
	if a == nil {
		return o.Framework.RunPostFilterPlugins(ctx, state, pod, statuses)
	}
	began := time.Now()
	result, status := o.Framework.RunPostFilterPlugins(ctx, state, pod, statuses)
	a.addStep("PostFilter", began, status)
	a.record.Preemption = &decision.Preemption{Message: status.Message()}
	if result != nil && result.NominatingInfo != nil {
		a.record.Preemption.Node = result.NominatedNodeName
	}
	return result, status
}

// RunPreScorePlugins runs if more than one node is left.
func (o *observedFramework) RunPreScorePlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) *fwk.Status {
	a := o.current.Load()
	if a == nil {
		return o.Framework.RunPreScorePlugins(ctx, state, pod, nodes)
	}
	a.onFiltered()
	began := time.Now()
	status := o.Framework.RunPreScorePlugins(ctx, state, pod, nodes)
	a.addStep("PreScore", began, status)
	return status
}

// RunScorePlugins returns the weighted scores; ties are broken after it.
func (o *observedFramework) RunScorePlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) ([]fwk.NodePluginScores, *fwk.Status) {
	began := time.Now()
	scores, status := o.Framework.RunScorePlugins(ctx, state, pod, nodes)
	if a := o.current.Load(); a != nil {
		a.addStep("Score", began, status)
		a.onScored(scores)
	}
	return scores, status
}

// RunReservePluginsReserve is the first to run with the chosen node.
func (o *observedFramework) RunReservePluginsReserve(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	began := time.Now()
	status := o.Framework.RunReservePluginsReserve(ctx, state, pod, node)
	if a := o.current.Load(); a != nil {
		a.record.Node, a.observed.Chosen = node, node
		a.addStep("Reserve", began, status)
	}
	return status
}

// RunPermitPlugins is the last to run in the scheduling cycle. Unless a plugin refuses, the binding cycle follows,
// beside the next scheduling cycle.
func (o *observedFramework) RunPermitPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) (map[string]time.Duration, *fwk.Status) {
	began := time.Now()
	waits, status := o.Framework.RunPermitPlugins(ctx, state, pod, node)
	a := o.current.Load()
	if a == nil {
		return waits, status
	}
	a.addStep("Permit", began, status)
	if status.IsSuccess() || status.IsWait() {
		a.onPlaced(decisions.ReadHold(state))
		o.current.Store(nil)
		o.profile.recorder.beginBinding(a)
	}
	return waits, status
}

// WaitOnPermit is the first of the binding cycle.
func (o *observedFramework) WaitOnPermit(ctx context.Context, pod *corev1.Pod) *fwk.Status {
	began := time.Now()
	status := o.Framework.WaitOnPermit(ctx, pod)
	o.profile.recorder.bindingStep(pod, "WaitOnPermit", began, status)
	return status
}

// RunPreBindPlugins runs before the Binding.
func (o *observedFramework) RunPreBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	began := time.Now()
	status := o.Framework.RunPreBindPlugins(ctx, state, pod, node)
	o.profile.recorder.bindingStep(pod, "PreBind", began, status)
	return status
}

// RunBindPlugins POSTs the Binding.
func (o *observedFramework) RunBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	began := time.Now()
	status := o.Framework.RunBindPlugins(ctx, state, pod, node)
	o.profile.recorder.bindingStep(pod, "Bind", began, status)
	return status
}

// RunPostBindPlugins runs when the API server has accepted the Binding.
func (o *observedFramework) RunPostBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) {
	began := time.Now()
	o.Framework.RunPostBindPlugins(ctx, state, pod, node)
	o.profile.recorder.bindingStep(pod, "PostBind", began, nil)
	o.profile.recorder.endBinding(pod, decision.Bound, "")
}
