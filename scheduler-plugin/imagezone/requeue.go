// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"context"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/util"
	"k8s.io/utils/lru"
)

// EventsToRegister returns the events that can make room for a Pod that Filter refused, each with a hint that returns
// Queue only if the event does.
//
// There is no event if only the images in a node's status change (framework.NodeSchedulingPropertiesChange). A Pod
// whose image came to a node that way waits for another event, or for the flush of Pods that have been unschedulable
// for five minutes.
//
// UpdateNodeTaint is listed because the scheduler otherwise adds it to Add itself, with a hint that always returns
// Queue (buildQueueingHintMap).
func (pl *ImageZone) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	const nodeActions = fwk.Add | fwk.UpdateNodeAllocatable | fwk.UpdateNodeTaint
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: nodeActions}, QueueingHintFn: pl.afterNodeChange},
		{Event: fwk.ClusterEvent{Resource: fwk.Pod, ActionType: fwk.Delete}, QueueingHintFn: pl.afterPodDelete},
		{Event: fwk.ClusterEvent{Resource: fwk.Pod, ActionType: fwk.Update}, QueueingHintFn: pl.afterPodUpdate},
	}, nil
}

// afterNodeChange wakes the Pod if the node would have room without other Pods, and is new, has more room than before,
// or holds more of the Pod's images than before.
func (pl *ImageZone) afterNodeChange(_ klog.Logger, pod *corev1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, after, err := util.As[*corev1.Node](oldObj, newObj)
	if err != nil {
		return fwk.Queue, err
	}
	images, storage := pl.sizes.recall(pod), requestedStorage(pod)
	missing, room := missingOn(after, images), roomOn(after, storage)
	if missing > max(room, 0) {
		return fwk.QueueSkip, nil
	}
	if before == nil || room > roomOn(before, storage) || missing < missingOn(before, images) {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

// afterPodDelete wakes the Pod if the deleted one leaves disk room on a node on which it was placed, or for which it
// was nominated.
func (pl *ImageZone) afterPodDelete(_ klog.Logger, _ *corev1.Pod, oldObj, _ any) (fwk.QueueingHint, error) {
	deleted, _, err := util.As[*corev1.Pod](oldObj, nil)
	if err != nil {
		return fwk.Queue, err
	}
	onNode := deleted.Spec.NodeName != "" || deleted.Status.NominatedNodeName != ""
	if onNode && requestedStorage(deleted) > 0 {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

// afterPodUpdate wakes the Pod if its own images have changed. No update makes room on a node: requests for storage
// cannot be changed in place.
func (pl *ImageZone) afterPodUpdate(_ klog.Logger, pod *corev1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, after, err := util.As[*corev1.Pod](oldObj, newObj)
	if err != nil {
		return fwk.Queue, err
	}
	if after.UID == pod.UID && !slices.Equal(neededImages(before), neededImages(after)) {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

// roomOn returns how many bytes can be pulled onto the node if no other Pod is there, or the largest number if the node
// does not report its allocatable storage.
func roomOn(node *corev1.Node, storage int64) int64 {
	allocatable := node.Status.Allocatable.StorageEphemeral().Value()
	if allocatable == 0 {
		return math.MaxInt64
	}
	return disk{allocatable: allocatable, requested: storage}.left()
}

// missingOn returns how many bytes of the images the node must pull.
func missingOn(node *corev1.Node, images []image) int64 {
	var missing int64
	for i := range images {
		listed := slices.ContainsFunc(node.Status.Images, func(held corev1.ContainerImage) bool {
			return intersect(images[i].names, held.Names)
		})
		if !listed {
			missing = addSaturated(missing, images[i].bytes)
		}
	}
	return missing
}

// rememberedSizes bounds the memory for sizes: about 1 MiB.
const rememberedSizes = 4096

// imageSizes keeps the sizes that PreFilter found, for the queueing hints: they are called between scheduling cycles,
// when the snapshot of the nodes must not be read. A size that was dropped counts as 0, so that the Pod may be woken
// without need.
type imageSizes struct {
	byName *lru.Cache
}

func newImageSizes() *imageSizes {
	return &imageSizes{byName: lru.New(rememberedSizes)}
}

func (s *imageSizes) remember(images []image) {
	for i := range images {
		s.byName.Add(images[i].names[0], images[i])
	}
}

// recall returns the Pod's images whose size was known.
func (s *imageSizes) recall(pod *corev1.Pod) []image {
	var images []image
	for _, name := range neededImages(pod) {
		if remembered, ok := s.byName.Get(name); ok {
			images = append(images, remembered.(image))
		}
	}
	return images
}
