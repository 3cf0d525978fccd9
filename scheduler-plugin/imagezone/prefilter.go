// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"
)

const preFilterStateKey fwk.StateKey = "PreFilter" + Name

// preFilterState is what PreFilter computes once for all nodes of a cycle.
type preFilterState struct {
	// images are the Pod's images whose size is known.
	images []image
	// bytes is the sum of their sizes.
	bytes int64
	// storage is the ephemeral-storage that the Pod requests, in bytes.
	storage int64
}

// Clone returns the state itself: nothing changes it after PreFilter.
func (s *preFilterState) Clone() fwk.StateData {
	return s
}

// PreFilter finds which images the Pod needs and their sizes, from the status of any node that lists them. It skips
// Filter if no size is known. It excludes no nodes: that one node holds an image does not rule out the others.
func (pl *ImageZone) PreFilter(_ context.Context, cycleState fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if !pl.filtersDisk {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	images, bytes := knownImages(pl.names, pod, nodes)
	if len(images) == 0 {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	pl.sizes.remember(images)
	cycleState.Write(preFilterStateKey, &preFilterState{images: images, bytes: bytes, storage: requestedStorage(pod)})
	return nil, nil
}

// PreFilterExtensions returns nil: the state holds nothing about the Pods on the nodes. Preemption adds and removes
// Pods on the NodeInfo that Filter gets, and Filter reads their requests from there.
func (pl *ImageZone) PreFilterExtensions() fwk.PreFilterExtensions {
	return nil
}

func readPreFilterState(cycleState fwk.CycleState) (*preFilterState, error) {
	data, err := cycleState.Read(preFilterStateKey)
	if err != nil {
		return nil, fmt.Errorf("reading %q from the cycle state: %w", preFilterStateKey, err)
	}
	state, ok := data.(*preFilterState)
	if !ok {
		return nil, fmt.Errorf("reading %q from the cycle state: want *preFilterState, got %T", preFilterStateKey, data)
	}
	return state, nil
}

// requestedStorage returns the ephemeral-storage that a Pod requests, in bytes, as upstream's NodeResourcesFit counts
// it (noderesources computePodResourceRequest).
func requestedStorage(pod *corev1.Pod) int64 {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	return requests.StorageEphemeral().Value()
}
