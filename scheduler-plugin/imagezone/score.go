// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"context"
	"math/bits"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// wholePart is a part's value for the best possible node. It is finer than the framework's 0 to 100, so that rounding
// happens only once, at the end.
const wholePart int64 = 1000

// weights are how much each part of the score counts.
type weights struct {
	image, zone int64
}

// Score returns the node's weighted parts, 0 to wholePart times the weights.
func (pl *ImageZone) Score(_ context.Context, cycleState fwk.CycleState, _ *corev1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	state, err := readPreScoreState(cycleState)
	if err != nil {
		return 0, fwk.AsStatus(err)
	}
	return state.score(node), nil
}

// ScoreExtensions returns the plugin, which normalises its own scores.
func (pl *ImageZone) ScoreExtensions() fwk.ScoreExtensions {
	return pl
}

// NormalizeScore converts the scores to the framework's range. It keeps their scale, rather than stretching them until
// the best is 100, so that a small advantage stays small beside other plugins.
func (pl *ImageZone) NormalizeScore(_ context.Context, cycleState fwk.CycleState, _ *corev1.Pod, scores fwk.NodeScoreList) *fwk.Status {
	state, err := readPreScoreState(cycleState)
	if err != nil {
		return fwk.AsStatus(err)
	}
	for i := range scores {
		scores[i].Score = state.normalize(scores[i].Score)
	}
	return nil
}

// score returns the weighted sum of the node's image part and zone part. The zone part of a node without a zone is 0,
// like that of a node that upstream's PodTopologySpread ignores.
func (s *preScoreState) score(node fwk.NodeInfo) int64 {
	var score int64
	if s.weights.image > 0 {
		score += s.weights.image * partOf(heldBytes(s.images, node.GetImageStates()), s.totalBytes)
	}
	if s.weights.zone > 0 {
		score += s.weights.zone * s.zoneParts[s.zoneOf[node.Node()]]
	}
	return score
}

// normalize converts the weighted sum to a weighted mean from fwk.MinScore to fwk.MaxScore, rounded down.
func (s *preScoreState) normalize(score int64) int64 {
	return fwk.MaxScore * score / (wholePart * (s.weights.image + s.weights.zone))
}

// partOf returns bytes/total in units of wholePart, rounded down, without overflow. It needs 0 <= bytes <= total and
// total > 0.
func partOf(bytes, total int64) int64 {
	hi, lo := bits.Mul64(uint64(bytes), uint64(wholePart))
	part, _ := bits.Div64(hi, lo, uint64(total))
	return int64(part)
}
