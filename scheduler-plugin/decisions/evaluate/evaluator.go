// SPDX-License-Identifier: Apache-2.0

// Package evaluate asks the plugins of a profile what the scheduler did not ask them: every filter plugin about every
// node, and every score plugin for its raw scores. It uses its own framework, made from the same profile, whose plugins
// are separate instances and see copies of the nodes. So it can run beside the scheduler.
package evaluate

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
)

// Evaluator evaluates the attempts of one profile, one at a time.
type Evaluator struct {
	columns
	nodes   *snapshot
	scratch scratch

	preFilters []fwk.PreFilterPlugin
	filters    map[string]fwk.FilterPlugin
	preScores  []fwk.PreScorePlugin
	scores     []fwk.ScorePlugin
}

// columns are the plugins in the order in which the scheduler asks them.
type columns struct {
	filters []string
	scores  []config.Plugin // with their weights
}

// New returns an evaluator for the profile that the scheduler runs with inner. outOfTree are the plugins beside
// upstream's. It must be called before the informers start, because plugins register theirs when they are created.
func New(ctx context.Context, inner framework.Framework, profile config.KubeSchedulerProfile, outOfTree frameworkruntime.Registry) (*Evaluator, error) {
	registry := plugins.NewInTreeRegistry()
	if err := registry.Merge(outOfTree); err != nil {
		return nil, fmt.Errorf("registering the plugins of profile %q: %w", profile.SchedulerName, err)
	}
	e := &Evaluator{nodes: &snapshot{}, filters: map[string]fwk.FilterPlugin{}}
	enabled := inner.ListPlugins()
	profile.Plugins = &config.Plugins{
		PreFilter: enabled.PreFilter, Filter: enabled.Filter, PreScore: enabled.PreScore, Score: enabled.Score,
		// NewFramework refuses a profile without these two. They never run.
		QueueSort: enabled.QueueSort, Bind: enabled.Bind,
	}
	created := map[string]fwk.Plugin{}
	_, err := frameworkruntime.NewFramework(ctx, capture(registry, created), &profile,
		frameworkruntime.WithClientSet(inner.ClientSet()),
		frameworkruntime.WithKubeConfig(inner.KubeConfig()),
		frameworkruntime.WithInformerFactory(inner.SharedInformerFactory()),
		frameworkruntime.WithEventRecorder(inner.EventRecorder()),
		frameworkruntime.WithSharedDRAManager(inner.SharedDRAManager()),
		frameworkruntime.WithSharedCSIManager(inner.SharedCSIManager()),
		frameworkruntime.WithPodGroupManager(inner.PodGroupManager()),
		frameworkruntime.WithSnapshotSharedLister(e.nodes),
		frameworkruntime.WithWaitingPods(frameworkruntime.NewWaitingPodsMap()),
		frameworkruntime.WithPodsInPreBind(frameworkruntime.NewPodsInPreBindMap()),
		frameworkruntime.WithParallelism(1),
		frameworkruntime.WithLogger(klog.LoggerWithName(klog.FromContext(ctx), "evaluator")),
	)
	if err != nil {
		return nil, fmt.Errorf("making the framework that evaluates profile %q: %w", profile.SchedulerName, err)
	}
	e.setPlugins(enabled, created)
	return e, nil
}

// capture returns a registry whose factories also add the plugins that they create to created. A framework only runs
// all of its plugins together, and the evaluator asks each by itself.
func capture(registry frameworkruntime.Registry, created map[string]fwk.Plugin) frameworkruntime.Registry {
	out := frameworkruntime.Registry{}
	for name, factory := range registry {
		out[name] = func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			plugin, err := factory(ctx, args, handle)
			if err == nil {
				created[name] = plugin
			}
			return plugin, err
		}
	}
	return out
}

// setPlugins sets the plugins of each extension point. NewFramework has checked that each implements the extension
// points that it is enabled for.
func (e *Evaluator) setPlugins(enabled *config.Plugins, created map[string]fwk.Plugin) {
	for _, p := range enabled.PreFilter.Enabled {
		e.preFilters = append(e.preFilters, created[p.Name].(fwk.PreFilterPlugin))
	}
	for _, p := range enabled.Filter.Enabled {
		e.filters[p.Name] = created[p.Name].(fwk.FilterPlugin)
		e.columns.filters = append(e.columns.filters, p.Name)
	}
	for _, p := range enabled.PreScore.Enabled {
		e.preScores = append(e.preScores, created[p.Name].(fwk.PreScorePlugin))
	}
	for _, p := range enabled.Score.Enabled {
		e.scores = append(e.scores, created[p.Name].(fwk.ScorePlugin))
	}
	e.columns.scores = enabled.Score.Enabled
}

// answers are the answers of the plugins about one attempt. A nil status passes.
type answers struct {
	// skipped are the plugins whose PreFilter returned Skip.
	skipped sets.Set[string]
	// rejected are the plugins whose PreFilter refused the Pod on every node.
	rejected map[string]*fwk.Status
	// allowed are the nodes that a plugin's PreFilter leaves.
	allowed map[string]sets.Set[string]
	// filters has a status for each node of each plugin that was asked.
	filters map[string][]*fwk.Status
	// raw and normalised have a score for each scored node.
	raw, normalised map[string][]int64
}

// evaluate asks every plugin. A panic of a plugin is an error, because it must not end the scheduler.
func (e *Evaluator) evaluate(ctx context.Context, observed *Observed) (a *answers, took time.Duration, err error) {
	began := time.Now()
	defer func() {
		took = time.Since(began)
		if cause := recover(); cause != nil {
			klog.FromContext(ctx).Error(fmt.Errorf("%v", cause), "A plugin panicked while it was evaluated", "stack", string(debug.Stack()))
			a, err = nil, fmt.Errorf("a plugin panicked: %v", cause)
		}
		e.nodes.set(nil, nil)
	}()
	e.nodes.set(observed.Nodes, observed.Names.index)
	state := framework.NewCycleState()
	a = &answers{
		skipped: sets.New[string](), rejected: map[string]*fwk.Status{}, allowed: map[string]sets.Set[string]{},
		filters: map[string][]*fwk.Status{}, raw: map[string][]int64{}, normalised: map[string][]int64{},
	}
	if err := e.filter(ctx, state, observed, a); err != nil {
		return nil, 0, err
	}
	if nodes := observed.nodesToScore(a); len(nodes) > 0 {
		if err := e.score(ctx, state, observed.Pod, nodes, a); err != nil {
			return nil, 0, err
		}
	}
	return a, 0, nil
}

func (e *Evaluator) filter(ctx context.Context, state fwk.CycleState, observed *Observed, a *answers) error {
	for _, plugin := range e.preFilters {
		result, status := plugin.PreFilter(ctx, state, observed.Pod, observed.Nodes)
		switch {
		case status.IsSkip():
			a.skipped.Insert(plugin.Name())
		case status.IsRejected():
			a.rejected[plugin.Name()] = status
		case !status.IsSuccess():
			return fmt.Errorf("running PreFilter of %s: %w", plugin.Name(), status.AsError())
		case !result.AllNodes():
			a.allowed[plugin.Name()] = result.NodeNames
		}
	}
	state.SetSkipFilterPlugins(a.skipped)
	for _, name := range e.columns.filters {
		if a.skipped.Has(name) || a.rejected[name] != nil {
			continue
		}
		statuses := make([]*fwk.Status, len(observed.Nodes))
		for i, node := range observed.Nodes {
			status := e.filters[name].Filter(ctx, state, observed.Pod, node)
			if !status.IsSuccess() && !status.IsRejected() {
				return fmt.Errorf("running Filter of %s on node %s: %w", name, node.Node().Name, status.AsError())
			}
			statuses[i] = status
		}
		a.filters[name] = statuses
	}
	return ctx.Err()
}

// score mirrors RunPreScorePlugins and RunScorePlugins of framework/runtime/framework.go, and also keeps the scores
// before NormalizeScore.
func (e *Evaluator) score(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo, a *answers) error {
	skipped := sets.New[string]()
	for _, plugin := range e.preScores {
		switch status := plugin.PreScore(ctx, state, pod, nodes); {
		case status.IsSkip():
			skipped.Insert(plugin.Name())
		case !status.IsSuccess():
			return fmt.Errorf("running PreScore of %s: %w", plugin.Name(), status.AsError())
		}
	}
	state.SetSkipScorePlugins(skipped)
	for _, plugin := range e.scores {
		if skipped.Has(plugin.Name()) {
			continue
		}
		list := make(fwk.NodeScoreList, len(nodes))
		for i, node := range nodes {
			value, status := plugin.Score(ctx, state, pod, node)
			if !status.IsSuccess() {
				return fmt.Errorf("running Score of %s on node %s: %w", plugin.Name(), node.Node().Name, status.AsError())
			}
			list[i] = fwk.NodeScore{Name: node.Node().Name, Score: value}
		}
		a.raw[plugin.Name()] = values(list)
		if extensions := plugin.ScoreExtensions(); extensions != nil {
			if status := extensions.NormalizeScore(ctx, state, pod, list); !status.IsSuccess() {
				return fmt.Errorf("running NormalizeScore of %s: %w", plugin.Name(), status.AsError())
			}
		}
		a.normalised[plugin.Name()] = values(list)
	}
	return ctx.Err()
}

func values(list fwk.NodeScoreList) []int64 {
	out := make([]int64, len(list))
	for i := range list {
		out[i] = list[i].Score
	}
	return out
}
