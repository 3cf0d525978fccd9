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

// observed is the framework of one profile with an observer at each extension point that the scheduler runs. Each method calls the
// framework's own and returns what it returned; all others are the framework's (pkg/scheduler/framework/interface.go).
//
// Plugins hold the framework itself as their handle, not this one: what preemption tries out and what a batch looks up
// is not taken for the scheduler's own way.
type observed struct {
	framework.Framework
	profile *profile
	// current is the attempt of the cycle that runs, nil if it is not recorded. Cycles run one after another; a binding
	// cycle that fails looks whether it is its own.
	current atomic.Pointer[attempt]
}

// RunPreFilterPlugins is the first to run after the snapshot was taken.
func (o *observed) RunPreFilterPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string]) {
	a := o.current.Load()
	if a == nil {
		return o.Framework.RunPreFilterPlugins(ctx, state, pod)
	}
	if nodes, err := o.SnapshotSharedLister().NodeInfos().List(); err == nil {
		a.begin(nodes)
	}
	began := time.Now()
	result, status, narrowing := o.Framework.RunPreFilterPlugins(ctx, state, pod)
	a.step("PreFilter", began, status)
	a.preFiltered(result, status, narrowing, state)
	return result, status, narrowing
}

// GetNodeHint tells which node a batch offers.
func (o *observed) GetNodeHint(ctx context.Context, pod *corev1.Pod, signature fwk.PodSignature, state fwk.CycleState, cycle int64) string {
	hint := o.Framework.GetNodeHint(ctx, pod, signature, state, cycle)
	if a := o.current.Load(); a != nil {
		a.told.BatchHint = hint
	}
	return hint
}

// RunFilterPluginsWithNominatedPods is called for each node that the scheduler looks at, by many goroutines.
func (o *observed) RunFilterPluginsWithNominatedPods(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, info fwk.NodeInfo) *fwk.Status {
	status := o.Framework.RunFilterPluginsWithNominatedPods(ctx, state, pod, info)
	if a := o.current.Load(); a != nil {
		a.filteredNode(info.Node().Name, status)
	}
	return status
}

// RunPostFilterPlugins preempts, if it helps.
func (o *observed) RunPostFilterPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	a := o.current.Load()
	if a == nil {
		return o.Framework.RunPostFilterPlugins(ctx, state, pod, statuses)
	}
	began := time.Now()
	result, status := o.Framework.RunPostFilterPlugins(ctx, state, pod, statuses)
	a.step("PostFilter", began, status)
	a.told.Preemption = &decision.Preemption{Message: status.Message()}
	if result != nil && result.NominatingInfo != nil {
		a.told.Preemption.Node = result.NominatedNodeName
	}
	return result, status
}

// RunPreScorePlugins runs if more than one node is left.
func (o *observed) RunPreScorePlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) *fwk.Status {
	a := o.current.Load()
	if a == nil {
		return o.Framework.RunPreScorePlugins(ctx, state, pod, nodes)
	}
	a.filtered()
	began := time.Now()
	status := o.Framework.RunPreScorePlugins(ctx, state, pod, nodes)
	a.step("PreScore", began, status)
	return status
}

// RunScorePlugins returns the weighted scores; ties are broken after it.
func (o *observed) RunScorePlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) ([]fwk.NodePluginScores, *fwk.Status) {
	began := time.Now()
	scores, status := o.Framework.RunScorePlugins(ctx, state, pod, nodes)
	if a := o.current.Load(); a != nil {
		a.step("Score", began, status)
		a.scored(scores)
	}
	return scores, status
}

// RunReservePluginsReserve is the first to run with the node that was chosen.
func (o *observed) RunReservePluginsReserve(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	began := time.Now()
	status := o.Framework.RunReservePluginsReserve(ctx, state, pod, node)
	if a := o.current.Load(); a != nil {
		a.told.Node, a.seen.Chosen = node, node
		a.step("Reserve", began, status)
	}
	return status
}

// RunPermitPlugins is the last of the scheduling cycle, if no plugin refuses. The binding cycle runs beside the next
// scheduling cycle.
func (o *observed) RunPermitPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) (map[string]time.Duration, *fwk.Status) {
	began := time.Now()
	waits, status := o.Framework.RunPermitPlugins(ctx, state, pod, node)
	a := o.current.Load()
	if a == nil {
		return waits, status
	}
	a.step("Permit", began, status)
	if status.IsSuccess() || status.IsWait() {
		a.placed(decisions.ReadHold(state))
		o.current.Store(nil)
		o.profile.recorder.beginBinding(a)
	}
	return waits, status
}

// WaitOnPermit is the first of the binding cycle.
func (o *observed) WaitOnPermit(ctx context.Context, pod *corev1.Pod) *fwk.Status {
	began := time.Now()
	status := o.Framework.WaitOnPermit(ctx, pod)
	o.profile.recorder.bindingStep(pod, "WaitOnPermit", began, status)
	return status
}

// RunPreBindPlugins runs before the Binding.
func (o *observed) RunPreBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	began := time.Now()
	status := o.Framework.RunPreBindPlugins(ctx, state, pod, node)
	o.profile.recorder.bindingStep(pod, "PreBind", began, status)
	return status
}

// RunBindPlugins POSTs the Binding.
func (o *observed) RunBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	began := time.Now()
	status := o.Framework.RunBindPlugins(ctx, state, pod, node)
	o.profile.recorder.bindingStep(pod, "Bind", began, status)
	return status
}

// RunPostBindPlugins runs when the API server has taken the Binding.
func (o *observed) RunPostBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) {
	began := time.Now()
	o.Framework.RunPostBindPlugins(ctx, state, pod, node)
	o.profile.recorder.bindingStep(pod, "PostBind", began, nil)
	o.profile.recorder.endBinding(pod, decision.Bound, "")
}
