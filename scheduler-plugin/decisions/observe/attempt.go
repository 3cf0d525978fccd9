// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"podtrail.dev/podtrail/scheduler-plugin/decisions"
	"podtrail.dev/podtrail/scheduler-plugin/decisions/evaluate"
	"podtrail.dev/podtrail/trail/decision"
)

// attempt is one scheduling cycle while it runs. Until it is submitted it belongs to the scheduling goroutine, except
// buffers.filtered, which the goroutines that filter nodes fill. Its on… methods are called when that has happened.
type attempt struct {
	began    time.Time
	pod      decision.Pod
	profile  *profile
	record   decision.Attempt
	observed evaluate.Observed
	// buffers hold observed.Filtered and observed.Scored. next is the next free index in buffers.filtered.
	buffers *buffers
	next    atomic.Int64
	// filterBegan and filterEnded are the start of the first and the end of the last filter call.
	filterBegan, filterEnded time.Time
	// span is only used by the recorder's goroutine.
	span trace.SpanContext
}

func newAttempt(p *profile, info *framework.QueuedPodInfo) *attempt {
	pod := info.Pod
	a := &attempt{
		began: time.Now(), pod: identity(pod), profile: p,
		record: decision.Attempt{
			Number: info.Attempts, Queued: info.Timestamp.UTC(), Flushed: info.WasFlushedFromUnschedulable,
			Nominated: pod.Status.NominatedNodeName,
		},
		observed: evaluate.Observed{Pod: pod},
	}
	if info.InitialAttemptTimestamp != nil {
		a.record.FirstQueued = info.InitialAttemptTimestamp.UTC()
	}
	return a
}

func identity(pod *corev1.Pod) decision.Pod {
	return decision.Pod{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
}

// onSnapshot keeps the nodes' names, and copies of the nodes if an evaluation is likely to be allowed.
func (a *attempt) onSnapshot(nodes []fwk.NodeInfo) {
	a.observed.Names = a.profile.nodes.Names(nodes)
	if a.profile.recorder.budget.allows(time.Now()) {
		a.observed.Nodes = a.profile.nodes.Copies(nodes)
	}
}

// onPreFiltered keeps the answer of PreFilter.
func (a *attempt) onPreFiltered(result *fwk.PreFilterResult, status *fwk.Status, narrowing sets.Set[string], state fwk.CycleState) {
	a.observed.Skipped = state.GetSkipFilterPlugins()
	a.buffers = a.profile.pool.get(a.observed.Names.Len())
	a.filterBegan = time.Now()
	if !result.AllNodes() {
		a.observed.PreFilterNodes, a.observed.PreFilterPlugins = result.NodeNames, narrowing
	}
	if !status.IsSuccess() {
		a.observed.PreFilterStatus = status
	}
}

// onNodeFiltered keeps the answer of the filter plugins about one node. It is called concurrently.
func (a *attempt) onNodeFiltered(node string, status *fwk.Status) {
	if i := a.next.Add(1) - 1; int(i) < len(a.buffers.filtered) {
		a.buffers.filtered[i] = evaluate.Filtered{Node: node, Status: status}
	}
}

// onFiltered keeps the time when the scheduler has finished filtering. Only the first call counts.
func (a *attempt) onFiltered() {
	if a.filterEnded.IsZero() {
		a.filterEnded = time.Now()
	}
}

// addStep adds an extension point that has just returned.
func (a *attempt) addStep(name string, began time.Time, status *fwk.Status) {
	a.record.Steps = append(a.record.Steps, newStep(name, a.began, began, status))
}

func newStep(name string, cycle, began time.Time, status *fwk.Status) decision.Step {
	step := decision.Step{Name: name, After: began.Sub(cycle), Took: time.Since(began)}
	if !status.IsSuccess() {
		step.Status, step.Plugin, step.Message = status.Code().String(), status.Plugin(), status.Message()
	}
	return step
}

// addFilterStep adds the step Filter, whose end is known only after the cycle.
func (a *attempt) addFilterStep() {
	a.onFiltered()
	if calls := a.next.Load(); calls > 0 {
		a.observed.Filtered = a.buffers.filtered[:min(int(calls), len(a.buffers.filtered))]
		a.record.Steps = append(a.record.Steps, decision.Step{
			Name: "Filter", After: a.filterBegan.Sub(a.began), Took: a.filterEnded.Sub(a.filterBegan),
		})
	}
	slices.SortStableFunc(a.record.Steps, func(x, y decision.Step) int { return cmp.Compare(x.After, y.After) })
}

// onScored keeps the weighted scores. It copies the list, because the scheduler turns it into a heap and a batch
// removes nodes from it. The scores of a node are not changed.
func (a *attempt) onScored(scores []fwk.NodePluginScores) {
	a.buffers.scored = append(a.buffers.scored[:0], scores...)
	a.observed.Scored = a.buffers.scored
}

// release frees what is needed only for the matrix: the binding cycle can be long.
func (a *attempt) release() {
	a.observed, a.record.Matrix = evaluate.Observed{}, decision.Matrix{}
	if a.buffers != nil {
		a.profile.pool.put(a.buffers)
		a.buffers = nil
	}
}

// onFailed keeps how a cycle without a node ended.
func (a *attempt) onFailed(status *fwk.Status) {
	a.record.Took = time.Since(a.began)
	a.record.Outcome = decision.Failed
	if status.IsRejected() {
		a.record.Outcome = decision.Unschedulable
	}
	a.record.Node = ""
	a.record.Message = status.Message()
	a.record.Rejectors = rejectors(status)
}

// rejectors returns the plugins whose hints the queue will ask (handleSchedulingFailure).
func rejectors(status *fwk.Status) []string {
	fit, ok := status.AsError().(*framework.FitError) //nolint:errorlint // as upstream decides it
	if !ok {
		return nil
	}
	return sets.List(fit.Diagnosis.UnschedulablePlugins.Union(fit.Diagnosis.PendingPlugins))
}

// onPlaced keeps how a cycle with a node ended.
func (a *attempt) onPlaced(hold *decisions.Hold) {
	a.record.Took = time.Since(a.began)
	a.record.Outcome = decision.Placed
	if hold != nil {
		a.record.Hold = &decision.Hold{Until: hold.Until.UTC(), Problem: hold.Problem}
		if hold.Until.IsZero() {
			a.record.Hold.Until = time.Time{}
		}
	}
}

// bytes estimates how much memory the attempt takes while it waits to be recorded. The copies of the nodes are shared
// with other attempts.
func (a *attempt) bytes() int64 {
	const (
		fixed     = 2048
		perNode   = 8
		perAnswer = 24 + 64 // a Filtered and its Status
		perScored = 56
		perScore  = 24
	)
	size := int64(fixed + perNode*len(a.observed.Nodes))
	if a.buffers != nil {
		size += int64(perAnswer*len(a.buffers.filtered) + perScored*cap(a.buffers.scored))
	}
	if len(a.observed.Scored) > 0 {
		size += int64(perScore * len(a.observed.Scored) * len(a.observed.Scored[0].Scores))
	}
	return size
}

// binding is one binding cycle while it runs. It belongs to the cycle's goroutine.
type binding struct {
	attempt *attempt
	began   time.Time
	steps   []decision.Step
}

func (b *binding) addStep(name string, began time.Time, status *fwk.Status) {
	b.steps = append(b.steps, newStep(name, b.began, began, status))
}

func (b *binding) record(outcome decision.Outcome, message string) decision.Record {
	a := b.attempt
	return decision.Record{
		Pod: a.pod, Scheduler: a.profile.name, Time: b.began.UTC(),
		Binding: &decision.Binding{
			Attempt: a.record.Number, Node: a.record.Node, Outcome: outcome, Message: message,
			Took: time.Since(b.began), Steps: b.steps,
		},
	}
}
