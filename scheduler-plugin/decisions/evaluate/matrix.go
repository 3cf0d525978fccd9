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

// Record returns the matrix of an attempt. If evaluate is true and the nodes were copied, it asks the plugins what the
// scheduler did not ask them; otherwise why is the reason not to. The matrix is valid until the next call, which reuses
// its memory.
func (e *Evaluator) Record(ctx context.Context, observed *Observed, evaluate bool, why string) (decision.Matrix, decision.Evaluation) {
	b := &builder{
		columns: e.columns, observed: observed, scratch: &e.scratch,
		matrix:  decision.Matrix{Nodes: observed.Names.names},
		reasons: map[decision.Reason]int{}, rows: map[string]int{},
	}
	if evaluate && len(observed.Nodes) > 0 {
		var took time.Duration
		var err error
		if b.evaluated, took, err = e.evaluate(ctx, observed); err != nil {
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

// builder joins what was observed with what was evaluated. Where both are known, what was observed counts.
type builder struct {
	columns
	observed   *Observed
	evaluated  *answers // nil if nothing was evaluated
	scratch    *scratch
	matrix     decision.Matrix
	evaluation decision.Evaluation
	reasons    map[decision.Reason]int
	rows       map[string]int
}

// addColumns adds the filter plugins, and plugins that only have PreFilter and refused in it.
func (b *builder) addColumns() {
	skipped := b.observed.Skipped
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
	add(pluginOf(b.observed.PreFilterStatus))
	for _, name := range sets.List(b.observed.PreFilterPlugins) {
		add(name)
	}
	if b.evaluated != nil {
		for _, name := range sets.List(sets.KeySet(b.evaluated.rejected).Union(sets.KeySet(b.evaluated.allowed))) {
			add(name)
		}
	}
	for _, f := range b.observed.Filtered {
		add(pluginOf(f.Status))
	}
}

// addRows gives nodes with equal verdicts one row.
func (b *builder) addRows() {
	statuses, looked := b.observed.byNode(b.scratch)
	verdicts := zeroed(&b.scratch.verdicts, len(b.matrix.Filters))
	// If nothing was evaluated and PreFilter left all nodes, all nodes that passed have equal verdicts, and so have all
	// that the scheduler never looked at.
	plain := b.evaluated == nil && b.observed.PreFilterNodes == nil
	const unknown = -1
	passed, unseen := unknown, unknown // their rows
	rows := zeroed(&b.scratch.rows, len(b.matrix.Nodes))
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
		b.setVerdicts(verdicts, i, name, statuses[i], looked[i])
		rows[i] = b.row(verdicts, looked[i])
		if alike {
			*equal = rows[i]
		}
	}
	b.fillRows(rows)
}

// row returns the index of the row with these verdicts, which it adds if there is none.
func (b *builder) row(verdicts decision.Verdicts, looked bool) int {
	key := b.scratch.key[:0]
	if looked {
		key = append(key, 1)
	}
	for _, v := range verdicts {
		key = binary.AppendUvarint(key, uint64(v.Number()))
	}
	b.scratch.key = key
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
	free := zeroed(&b.scratch.indexes, len(rows))
	for row := range b.matrix.Rows {
		b.matrix.Rows[row].Nodes = free[:0:count[row]]
		free = free[count[row]:]
	}
	for node, row := range rows {
		b.matrix.Rows[row].Nodes = append(b.matrix.Rows[row].Nodes, node)
	}
}

// setVerdicts sets out to the verdicts about one node.
func (b *builder) setVerdicts(out decision.Verdicts, node int, name string, status *fwk.Status, looked bool) {
	asked := looked // until a plugin has refused
	for i, filter := range b.matrix.Filters {
		observed, evaluated := b.observedVerdict(filter, name, status, looked, asked), b.evaluatedVerdict(filter, node, name)
		if out[i] = evaluated; observed.Asked() {
			out[i] = observed
			b.compare(filter.Plugin, name, observed, evaluated)
		}
		if looked && pluginOf(status) == filter.Plugin {
			asked = false
		}
	}
}

// observedVerdict returns the verdict that the scheduler got from a plugin. Asked is false if another plugin has
// already refused the node, so that the scheduler did not ask this one.
func (b *builder) observedVerdict(filter decision.Filter, node string, status *fwk.Status, looked, asked bool) decision.Verdict {
	switch {
	case !looked:
		return b.preFilterVerdict(filter, node)
	case asked && pluginOf(status) == filter.Plugin:
		return decision.Refuse(b.reason(status), true)
	case asked && !filter.Skipped && slices.Contains(b.filters, filter.Plugin):
		return decision.Pass(true)
	}
	return decision.Verdict{}
}

// preFilterVerdict returns the verdict of a plugin about a node that PreFilter excluded, so that Filter never looked at
// it.
func (b *builder) preFilterVerdict(filter decision.Filter, node string) decision.Verdict {
	preFilter := b.observed.PreFilterStatus
	isExcluded := b.observed.PreFilterNodes != nil && !b.observed.PreFilterNodes.Has(node)
	switch {
	case pluginOf(preFilter) == filter.Plugin:
		return decision.Refuse(b.reason(preFilter), true)
	case isExcluded && b.observed.PreFilterPlugins.Has(filter.Plugin):
		return decision.Refuse(b.reason(excluded), true)
	}
	return decision.Verdict{}
}

// excluded is the framework's status of nodes that a PreFilter plugin excludes (findNodesThatFitPod).
var excluded = fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "not among the nodes that PreFilter leaves")

// evaluatedVerdict returns the verdict of a plugin that was asked afterwards.
func (b *builder) evaluatedVerdict(filter decision.Filter, node int, name string) decision.Verdict {
	if b.evaluated == nil || filter.Skipped {
		return decision.Verdict{}
	}
	if status := b.evaluated.rejected[filter.Plugin]; status != nil {
		return decision.Refuse(b.reason(status), false)
	}
	if allowed, narrows := b.evaluated.allowed[filter.Plugin]; narrows && !allowed.Has(name) {
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

// compare counts a difference if the two verdicts differ.
func (b *builder) compare(plugin, node string, observed, evaluated decision.Verdict) {
	if evaluated.Asked() && observed.Refused() != evaluated.Refused() {
		b.differ(func() string {
			return fmt.Sprintf("%s on node %s: refused %v as seen, %v as evaluated", plugin, node, observed.Refused(), evaluated.Refused())
		})
	}
}

// pluginOf returns the plugin that refuses, or "" if the status passes.
func pluginOf(status *fwk.Status) string {
	if status.IsSuccess() {
		return ""
	}
	return status.Plugin()
}

// differ counts a difference, and keeps the first one as the example.
func (b *builder) differ(example func() string) {
	if b.evaluation.Differences == 0 {
		b.evaluation.Example = example()
	}
	b.evaluation.Differences++
}

// reason returns the index of the status's reason in the matrix, which it adds if it is new.
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
