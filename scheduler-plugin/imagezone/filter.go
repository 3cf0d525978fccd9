// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Filter refuses a node whose disk has no room for those images of the Pod that the node does not hold. Room is what
// upstream's NodeResourcesFit knows about a disk: the allocatable ephemeral-storage that no Pod requests, including
// this Pod.
//
// What is not known is never a reason to refuse: a node that reports no allocatable ephemeral-storage, or an image
// whose size no node has reported.
func (pl *ImageZone) Filter(_ context.Context, cycleState fwk.CycleState, _ *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	state, err := readPreFilterState(cycleState)
	if err != nil {
		return fwk.AsStatus(err)
	}
	d := disk{
		allocatable: node.GetAllocatable().GetEphemeralStorage(),
		requested:   node.GetRequested().GetEphemeralStorage() + state.storage,
	}
	if d.fits(state.bytes) {
		// There is room for all of the images, so it does not matter which of them the node holds: that is slow to find out.
		return nil
	}
	missing := missingBytes(state.images, node.GetImageStates())
	if d.fits(missing) {
		return nil
	}
	reason := fmt.Sprintf("node(s) had %s of disk left for %s of images to pull", roundedDown(d.left()), roundedUp(missing))
	code := fwk.Unschedulable
	if d.requested = state.storage; !d.fits(missing) {
		// They do not fit even if this is the only Pod on the node, so preemption need not try.
		code = fwk.UnschedulableAndUnresolvable
	}
	return fwk.NewStatus(code, reason)
}

// disk is the part of a node's disk that Pods can use, in bytes.
type disk struct {
	// allocatable is 0 if the node does not report it.
	allocatable int64
	requested   int64
}

// left returns what is not requested. It is negative if Pods request more than there is.
func (d disk) left() int64 {
	return d.allocatable - d.requested
}

// fits reports whether that many bytes can be pulled, as far as is known.
func (d disk) fits(bytes int64) bool {
	return bytes == 0 || d.allocatable == 0 || bytes <= d.left()
}

// missingBytes returns how many bytes of the images a node must pull.
func missingBytes(images []image, states imageStates) int64 {
	var missing int64
	for i := range images {
		if listedBytes(images[i].names, states) == 0 {
			missing = addSaturated(missing, images[i].bytes)
		}
	}
	return missing
}
