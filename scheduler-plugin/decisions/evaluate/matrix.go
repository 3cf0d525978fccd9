// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"podtrail.dev/podtrail/trail/decision"
)

// Record makes the matrix of an attempt. It asks the plugins what the scheduler did not if afresh is true and the nodes
// were copied; otherwise why says why not. The matrix is valid until the next call, which uses its memory again.
func (e *Evaluator) Record(ctx context.Context, seen *Seen, afresh bool, why string) (decision.Matrix, decision.Evaluation) {
	b := &builder{
		columns: e.columns, seen: seen, room: &e.room,
		matrix:  decision.Matrix{Nodes: seen.Names.names},
		reasons: map[decision.Reason]int{}, rows: map[string]int{},
	}
	if afresh && len(seen.Nodes) > 0 {
		var took time.Duration
		var err error
		if b.evaluated, took, err = e.evaluate(ctx, seen); err != nil {
			why = err.Error()
		}
		b.evaluation.Took = took
	}
	b.evaluation.Done = b.evaluated != nil
	if !b.evaluation.Done {
		b.evaluation.Why = why
	}
	b.addColumns()
	b.addRows()
	b.addScores()
	return b.matrix, b.evaluation
}

// builder joins what was seen with what was evaluated. What was seen counts.
type builder struct {
	columns
	seen       *Seen
	evaluated  *answers // nil if it was not done
	room       *room
	matrix     decision.Matrix
	evaluation decision.Evaluation
	reasons    map[decision.Reason]int
	rows       map[string]int
}

// addColumns adds the filter plugins, and those that refuse in PreFilter alone.
func (b *builder) addColumns() {
	skipped := b.seen.Skipped
	if skipped == nil && b.evaluated != nil {
		skipped = b.evaluated.skipped
	}
	add := func(name string) {
		known := func(f decision.Filter) bool { return f.Plugin == name }
		if name != "" && !slices.ContainsFunc(b.matrix.Filters, known) {
			b.matrix.Filters = append(b.matrix.Filters, decision.Filter{Plugin: name, Skipped: skipped.Has(name)})
		}
	}
	for _, name := range b.filters {
		add(name)
	}
	add(pluginOf(b.seen.PreFilterStatus))
	for _, name := range sets.List(b.seen.PreFilterPlugins) {
		add(name)
	}
	if b.evaluated != nil {
		for _, name := range sets.List(sets.KeySet(b.evaluated.whole).Union(sets.KeySet(b.evaluated.only))) {
			add(name)
		}
	}
	for _, f := range b.seen.Filtered {
		add(pluginOf(f.Status))
	}
}

// addRows gives nodes with equal verdicts one row.
func (b *builder) addRows() {
	statuses, looked := b.seen.byNode(b.room)
	verdicts := make(decision.Verdicts, len(b.matrix.Filters))
	// Where nothing was evaluated and PreFilter left out no node, all nodes that passed have equal verdicts, and so have all
	// that were never looked at.
	plain := b.evaluated == nil && b.seen.PreFilterNodes == nil
	const unknown = -1
	passed, unseen := unknown, unknown // their rows
	rows := cleared(&b.room.rows, len(b.matrix.Nodes))
	for i, name := range b.matrix.Nodes {
		equal := &unseen
		if looked[i] {
			equal = &passed
		}
		alike := plain && statuses[i].IsSuccess()
		if alike && *equal != unknown {
			rows[i] = *equal
			continue
		}
		b.verdicts(verdicts, i, name, statuses[i], looked[i])
		rows[i] = b.row(verdicts, looked[i])
		if alike {
			*equal = rows[i]
		}
	}
	b.fillRows(rows)
}

// row returns the row with these verdicts.
func (b *builder) row(verdicts decision.Verdicts, looked bool) int {
	key := b.room.key[:0]
	if looked {
		key = append(key, 1)
	}
	for _, v := range verdicts {
		key = binary.AppendUvarint(key, uint64(v.Number()))
	}
	b.room.key = key
	row, known := b.rows[string(key)]
	if !known {
		row = len(b.matrix.Rows)
		b.rows[string(key)] = row
		b.matrix.Rows = append(b.matrix.Rows, decision.Row{Looked: looked, Verdicts: slices.Clone(verdicts)})
	}
	return row
}

// fillRows adds each node to its row.
func (b *builder) fillRows(rows []int) {
	count := make([]int, len(b.matrix.Rows))
	for _, row := range rows {
		count[row]++
	}
	free := cleared(&b.room.indexes, len(rows))
	for row := range b.matrix.Rows {
		b.matrix.Rows[row].Nodes = free[:0:count[row]]
		free = free[count[row]:]
	}
	for node, row := range rows {
		b.matrix.Rows[row].Nodes = append(b.matrix.Rows[row].Nodes, node)
	}
}

// verdicts fills in the verdicts on one node.
func (b *builder) verdicts(out decision.Verdicts, node int, name string, status *fwk.Status, looked bool) {
	asked := looked // until a plugin has refused
	for i, filter := range b.matrix.Filters {
		again := b.again(filter, node, name)
		seen := b.seenBy(filter, name, status, looked, asked)
		if out[i] = seen; !seen.Asked() {
			out[i] = again
		} else {
			b.compare(filter.Plugin, name, seen, again)
		}
		if looked && pluginOf(status) == filter.Plugin {
			asked = false
		}
	}
}

// seenBy is the verdict of a plugin that the scheduler got.
func (b *builder) seenBy(filter decision.Filter, node string, status *fwk.Status, looked, asked bool) decision.Verdict {
	switch {
	case !looked:
		return b.seenBefore(filter, node)
	case asked && pluginOf(status) == filter.Plugin:
		return decision.Refuse(b.reason(status), true)
	case asked && !filter.Skipped && slices.Contains(b.filters, filter.Plugin):
		return decision.Pass(true)
	}
	return decision.Verdict{}
}

// seenBefore is the verdict of a plugin on a node that PreFilter left out, so that Filter never looked at it.
func (b *builder) seenBefore(filter decision.Filter, node string) decision.Verdict {
	preFilter := b.seen.PreFilterStatus
	leftOut := b.seen.PreFilterNodes != nil && !b.seen.PreFilterNodes.Has(node)
	switch {
	case pluginOf(preFilter) == filter.Plugin:
		return decision.Refuse(b.reason(preFilter), true)
	case leftOut && b.seen.PreFilterPlugins.Has(filter.Plugin):
		return decision.Refuse(b.reason(excluded), true)
	}
	return decision.Verdict{}
}

// excluded is what the framework says of nodes that a PreFilter plugin leaves out (findNodesThatFitPod).
var excluded = fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "not among the nodes that PreFilter leaves")

// again is the verdict of a plugin that was evaluated afterwards.
func (b *builder) again(filter decision.Filter, node int, name string) decision.Verdict {
	if b.evaluated == nil || filter.Skipped {
		return decision.Verdict{}
	}
	if status := b.evaluated.whole[filter.Plugin]; status != nil {
		return decision.Refuse(b.reason(status), false)
	}
	if only, narrows := b.evaluated.only[filter.Plugin]; narrows && !only.Has(name) {
		return decision.Refuse(b.reason(excluded), false)
	}
	statuses := b.evaluated.filters[filter.Plugin]
	switch {
	case statuses == nil:
		return decision.Verdict{}
	case statuses[node].IsSuccess():
		return decision.Pass(false)
	}
	return decision.Refuse(b.reason(statuses[node]), false)
}

// compare counts a verdict that came out otherwise.
func (b *builder) compare(plugin, node string, seen, again decision.Verdict) {
	if !again.Asked() {
		return
	}
	if seen.Refused() != again.Refused() {
		b.differ(func() string {
			return fmt.Sprintf("%s on node %s: refused %v as seen, %v as evaluated", plugin, node, seen.Refused(), again.Refused())
		})
	}
}

// pluginOf is the plugin that refuses; empty if none does.
func pluginOf(status *fwk.Status) string {
	if status.IsSuccess() {
		return ""
	}
	return status.Plugin()
}

func (b *builder) differ(example func() string) {
	if b.evaluation.Differences == 0 {
		b.evaluation.Example = example()
	}
	b.evaluation.Differences++
}

func (b *builder) reason(status *fwk.Status) int {
	reason := decision.Reason{
		Text:         strings.Join(status.Reasons(), "; "),
		Unresolvable: status.Code() == fwk.UnschedulableAndUnresolvable,
	}
	i, known := b.reasons[reason]
	if !known {
		i = len(b.matrix.Reasons)
		b.reasons[reason] = i
		b.matrix.Reasons = append(b.matrix.Reasons, reason)
	}
	return i
}
