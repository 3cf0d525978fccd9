// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"

	"podtrail.dev/podtrail/trail/decision"
)

// addScores adds a column for each score plugin: the normalised scores as seen, or as evaluated where the scheduler
// needed none, and the raw ones as evaluated.
func (b *builder) addScores() {
	if len(b.seen.Scored) > 0 {
		b.seenScores()
		return
	}
	if b.evaluated == nil || len(b.evaluated.raw) == 0 {
		return
	}
	for i, name := range b.matrix.Nodes {
		if b.seen.Chosen != "" && len(b.evaluated.whole) == 0 && b.evaluated.passes(i, name) {
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

// seenScores takes the weights off what the scheduler computed: it tells weighted scores only.
func (b *builder) seenScores() {
	b.matrix.ScoresSeen = true
	scored := len(b.seen.Scored)
	b.matrix.Scored = cleared(&b.room.scored, scored)
	next := 0
	for i, node := range b.seen.Scored {
		b.matrix.Scored[i], _ = b.seen.Names.find(node.Name, next)
		next = b.matrix.Scored[i] + 1
	}
	weights := map[string]int64{}
	for _, plugin := range b.scores {
		weights[plugin.Name] = int64(plugin.Weight)
	}
	free := cleared(&b.room.scores, scored*len(b.seen.Scored[0].Scores))
	for column, plugin := range b.seen.Scored[0].Scores {
		score := decision.Score{Plugin: plugin.Name, Weight: max(1, weights[plugin.Name])}
		score.Normalised, free = free[:scored:scored], free[scored:]
		for i, node := range b.seen.Scored {
			score.Normalised[i] = node.Scores[column].Score / score.Weight
		}
		if b.evaluated != nil {
			score.Raw = b.evaluated.raw[plugin.Name]
			b.compareScores(score, b.evaluated.normalised[plugin.Name])
		}
		b.matrix.Scores = append(b.matrix.Scores, score)
	}
}

// compareScores counts scores that came out otherwise, also if the plugin had nothing to score this time.
func (b *builder) compareScores(seen decision.Score, again []int64) {
	for i, value := range seen.Normalised {
		if i < len(again) && again[i] == value {
			continue
		}
		b.differ(func() string {
			return fmt.Sprintf("%s on node %s: score %d as seen, otherwise as evaluated", seen.Plugin, b.seen.Scored[i].Name, value)
		})
	}
}
