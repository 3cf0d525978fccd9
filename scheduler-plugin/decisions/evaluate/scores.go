// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"

	"podtrail.dev/podtrail/trail/decision"
)

// addScores adds a column for each score plugin: the raw scores as evaluated, and the normalised scores as observed, or
// as evaluated if the scheduler needed none.
func (b *builder) addScores() {
	if len(b.matrix.Nodes) == 0 {
		return
	}
	if len(b.observed.Scored) > 0 {
		b.addObservedScores()
		return
	}
	if b.evaluated == nil || len(b.evaluated.raw) == 0 {
		return
	}
	for i, name := range b.matrix.Nodes {
		if b.observed.Chosen != "" && len(b.evaluated.rejected) == 0 && b.evaluated.passes(i, name) {
			b.matrix.Scored = append(b.matrix.Scored, i)
		}
	}
	for _, plugin := range b.scores {
		if raw := b.evaluated.raw[plugin.Name]; raw != nil {
			b.matrix.Scores = append(b.matrix.Scores, decision.Score{
				Plugin: plugin.Name, Weight: int64(plugin.Weight), Raw: raw, Normalised: b.evaluated.normalised[plugin.Name],
			})
		}
	}
}

// addObservedScores adds the scores that the scheduler computed. It exposes only weighted ones, so they are divided by
// the weights.
func (b *builder) addObservedScores() {
	b.matrix.ScoresSeen = true
	scored := len(b.observed.Scored)
	b.matrix.Scored = zeroed(&b.scratch.scored, scored)
	next := 0
	for i, node := range b.observed.Scored {
		b.matrix.Scored[i], _ = b.observed.Names.find(node.Name, next)
		next = b.matrix.Scored[i] + 1
	}
	weights := map[string]int64{}
	for _, plugin := range b.scores {
		weights[plugin.Name] = int64(plugin.Weight)
	}
	free := zeroed(&b.scratch.scores, scored*len(b.observed.Scored[0].Scores))
	for column, plugin := range b.observed.Scored[0].Scores {
		score := decision.Score{Plugin: plugin.Name, Weight: max(1, weights[plugin.Name])}
		score.Normalised, free = free[:scored:scored], free[scored:]
		for i, node := range b.observed.Scored {
			score.Normalised[i] = node.Scores[column].Score / score.Weight
		}
		if b.evaluated != nil {
			score.Raw = b.evaluated.raw[plugin.Name]
			b.compareScores(score, b.evaluated.normalised[plugin.Name])
		}
		b.matrix.Scores = append(b.matrix.Scores, score)
	}
}

// compareScores counts the scores that differ from the evaluated ones. All of them differ if the plugin had nothing to
// score in the evaluation.
func (b *builder) compareScores(observed decision.Score, evaluated []int64) {
	for i, value := range observed.Normalised {
		if i < len(evaluated) && evaluated[i] == value {
			continue
		}
		b.differ(func() string {
			return fmt.Sprintf("%s on node %s: score %d as seen, another as evaluated", observed.Plugin, b.observed.Scored[i].Name, value)
		})
	}
}
