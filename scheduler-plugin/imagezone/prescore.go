// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

const preScoreStateKey fwk.StateKey = "PreScore" + Name

// preScoreState is what PreScore computes once for all nodes of a cycle.
type preScoreState struct {
	// weights are 0 for a part in which all nodes are equal: no feasible node holds one of the images, or all zones hold
	// the same number of siblings.
	weights    weights
	images     []image
	totalBytes int64
	// zoneParts is the zone part, 0 to wholePart, of each feasible zone, and zoneOf the zone of each node.
	zoneParts map[*zone]int64
	zoneOf    nodeZones
}

// Clone returns the state itself: nothing changes it after PreScore.
func (s *preScoreState) Clone() fwk.StateData {
	return s
}

// PreScore finds which of the Pod's images the feasible nodes hold, and counts its siblings in their zones. It skips
// Score if neither differs between nodes.
func (pl *ImageZone) PreScore(_ context.Context, cycleState fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) *fwk.Status {
	state := &preScoreState{}
	if pl.weights.image > 0 {
		if state.images, state.totalBytes = knownImages(pl.names, pod, nodes); state.totalBytes > 0 {
			state.weights.image = pl.weights.image
		}
	}
	if controller := metav1.GetControllerOfNoCopy(pod); controller != nil && pl.weights.zone > 0 {
		all, err := pl.handle.SnapshotSharedLister().NodeInfos().List()
		if err != nil {
			return fwk.AsStatus(fmt.Errorf("listing the nodes of the snapshot: %w", err))
		}
		var counts map[*zone]int64
		counts, state.zoneOf = pl.siblings.perZone(all, nodes, sibling{namespace: pod.Namespace, controller: controller.UID})
		if state.zoneParts = zoneParts(counts); state.zoneParts != nil {
			state.weights.zone = pl.weights.zone
		}
	}
	if state.weights == (weights{}) {
		return fwk.NewStatus(fwk.Skip)
	}
	cycleState.Write(preScoreStateKey, state)
	return nil
}

func readPreScoreState(cycleState fwk.CycleState) (*preScoreState, error) {
	data, err := cycleState.Read(preScoreStateKey)
	if err != nil {
		return nil, fmt.Errorf("reading %q from the cycle state: %w", preScoreStateKey, err)
	}
	state, ok := data.(*preScoreState)
	if !ok {
		return nil, fmt.Errorf("reading %q from the cycle state: want *preScoreState, got %T", preScoreStateKey, data)
	}
	return state, nil
}
