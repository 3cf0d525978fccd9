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

// attempt is one scheduling cycle while it runs. Until it is submitted it belongs to the scheduling goroutine, but for
// filtered, which the goroutines that filter fill.
type attempt struct {
	began   time.Time
	pod     decision.Pod
	profile *profile
	told    decision.Attempt
	seen    evaluate.Seen
	// room is where seen.Filtered and seen.Scored are; next counts what is in room.filtered.
	room *room
	next atomic.Int64
	// filterBegan and filterEnded enclose all filter calls.
	filterBegan, filterEnded time.Time
	// span is set and read by the recorder's goroutine.
	span trace.SpanContext
}

func newAttempt(p *profile, info *framework.QueuedPodInfo) *attempt {
	pod := info.Pod
	a := &attempt{
		began: time.Now(), pod: identity(pod), profile: p,
		told: decision.Attempt{
			Number: info.Attempts, Queued: info.Timestamp.UTC(), Flushed: info.WasFlushedFromUnschedulable,
			Nominated: pod.Status.NominatedNodeName,
		},
		seen: evaluate.Seen{Pod: pod},
	}
	if info.InitialAttemptTimestamp != nil {
		a.told.FirstQueued = info.InitialAttemptTimestamp.UTC()
	}
	return a
}

func identity(pod *corev1.Pod) decision.Pod {
	return decision.Pod{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
}

// begin keeps the nodes. They are copied only if it seems that evaluation will be allowed.
func (a *attempt) begin(nodes []fwk.NodeInfo) {
	a.seen.Names = a.profile.taker.Names(nodes)
	if a.profile.recorder.budget.allows(time.Now()) {
		a.seen.Nodes = a.profile.taker.Copies(nodes)
	}
}

// preFiltered keeps what PreFilter said.
func (a *attempt) preFiltered(result *fwk.PreFilterResult, status *fwk.Status, narrowing sets.Set[string], state fwk.CycleState) {
	a.seen.Skipped = state.GetSkipFilterPlugins()
	a.room = a.profile.rooms.get(a.seen.Names.Len())
	a.filterBegan = time.Now()
	if !result.AllNodes() {
		a.seen.PreFilterNodes, a.seen.PreFilterPlugins = result.NodeNames, narrowing
	}
	if !status.IsSuccess() {
		a.seen.PreFilterStatus = status
	}
}

// filteredNode keeps the answer of the filter plugins on one node. Many goroutines call it at once.
func (a *attempt) filteredNode(node string, status *fwk.Status) {
	if i := a.next.Add(1) - 1; int(i) < len(a.room.filtered) {
		a.room.filtered[i] = evaluate.Filtered{Node: node, Status: status}
	}
}

// filtered notes that no more nodes are filtered: the scheduler went on.
func (a *attempt) filtered() {
	if a.filterEnded.IsZero() {
		a.filterEnded = time.Now()
	}
}

// step adds an extension point that ran just now.
func (a *attempt) step(name string, began time.Time, status *fwk.Status) {
	a.told.Steps = append(a.told.Steps, newStep(name, a.began, began, status))
}

func newStep(name string, cycle, began time.Time, status *fwk.Status) decision.Step {
	step := decision.Step{Name: name, After: began.Sub(cycle), Took: time.Since(began)}
	if !status.IsSuccess() {
		step.Status, step.Plugin, step.Message = status.Code().String(), status.Plugin(), status.Message()
	}
	return step
}

// filterStep adds the filters, whose end is known only afterwards.
func (a *attempt) filterStep() {
	a.filtered()
	if calls := a.next.Load(); calls > 0 {
		a.seen.Filtered = a.room.filtered[:min(int(calls), len(a.room.filtered))]
		a.told.Steps = append(a.told.Steps, decision.Step{
			Name: "Filter", After: a.filterBegan.Sub(a.began), Took: a.filterEnded.Sub(a.filterBegan),
		})
	}
	slices.SortStableFunc(a.told.Steps, func(x, y decision.Step) int { return cmp.Compare(x.After, y.After) })
}

// scored keeps the weighted scores. The scheduler turns the list into a heap and a batch takes nodes off it, so it is
// copied; the scores of a node are not changed.
func (a *attempt) scored(scores []fwk.NodePluginScores) {
	a.room.scored = append(a.room.scored[:0], scores...)
	a.seen.Scored = a.room.scored
}

// recorded lets go of what is needed for the matrix only: the binding cycle can be long.
func (a *attempt) recorded() {
	a.seen, a.told.Matrix = evaluate.Seen{}, decision.Matrix{}
	if a.room != nil {
		a.profile.rooms.put(a.room)
		a.room = nil
	}
}

// failed keeps how the cycle ended without a node.
func (a *attempt) failed(status *fwk.Status) {
	a.told.Took = time.Since(a.began)
	a.told.Outcome = decision.Failed
	if status.IsRejected() {
		a.told.Outcome = decision.Unschedulable
	}
	a.told.Node = ""
	a.told.Message = status.Message()
	a.told.Rejectors = rejectors(status)
}

// rejectors are the plugins whose hints the queue will ask (handleSchedulingFailure).
func rejectors(status *fwk.Status) []string {
	fit, ok := status.AsError().(*framework.FitError) //nolint:errorlint // as upstream decides it
	if !ok {
		return nil
	}
	return sets.List(fit.Diagnosis.UnschedulablePlugins.Union(fit.Diagnosis.PendingPlugins))
}

// placed keeps the end of the cycle at a node.
func (a *attempt) placed(hold *decisions.Hold) {
	a.told.Took = time.Since(a.began)
	a.told.Outcome = decision.Placed
	if hold != nil {
		a.told.Hold = &decision.Hold{Until: hold.Until.UTC(), Problem: hold.Problem}
		if hold.Until.IsZero() {
			a.told.Hold.Until = time.Time{}
		}
	}
}

// bytes is about how much memory the attempt takes while it waits to be recorded. The nodes' copies are shared with
// other attempts.
func (a *attempt) bytes() int64 {
	const (
		fixed     = 2048
		perNode   = 8
		perAnswer = 24 + 64 // a Filtered and its Status
		perScored = 56
		perScore  = 24
	)
	size := int64(fixed + perNode*len(a.seen.Nodes))
	if a.room != nil {
		size += int64(perAnswer*len(a.room.filtered) + perScored*cap(a.room.scored))
	}
	if len(a.seen.Scored) > 0 {
		size += int64(perScore * len(a.seen.Scored) * len(a.seen.Scored[0].Scores))
	}
	return size
}

// binding is one binding cycle while it runs. It belongs to the cycle's goroutine.
type binding struct {
	attempt *attempt
	began   time.Time
	steps   []decision.Step
}

func (b *binding) step(name string, began time.Time, status *fwk.Status) {
	b.steps = append(b.steps, newStep(name, b.began, began, status))
}

func (b *binding) record(outcome decision.Outcome, message string) decision.Record {
	a := b.attempt
	return decision.Record{
		Pod: a.pod, Scheduler: a.profile.name, Time: b.began.UTC(),
		Binding: &decision.Binding{
			Attempt: a.told.Number, Node: a.told.Node, Outcome: outcome, Message: message,
			Took: time.Since(b.began), Steps: b.steps,
		},
	}
}
