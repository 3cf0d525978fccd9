// SPDX-License-Identifier: Apache-2.0

// Package imagezone is a scheduler plugin that refuses nodes without disk room for the images that the Pod would have
// to pull, and prefers nodes that already hold them and zones that hold fewer of the Pod's siblings.
//
// Each extension point has a file named after it. The extension points only fetch and translate. Functions that know
// neither the framework's handle nor a client compute the decisions. The upstream counterparts are
// pkg/scheduler/framework/plugins/imagelocality, the soft constraints of .../podtopologyspread, and for disk room
// .../noderesources (fit.go) in k8s.io/kubernetes.
package imagezone

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
)

// Name is the plugin's name in the registry and in KubeSchedulerConfiguration.
const Name = "ImageZone"

// ImageZone filters nodes by disk room, and scores them by the image bytes that they hold and by the siblings in their
// zone. The results of a scheduling cycle are in its cycle state. What is kept beyond the cycle saves work in the next
// one: the counts of siblings and the names of images. The sizes of images are kept for the queueing hints.
type ImageZone struct {
	handle fwk.Handle
	// filtersDisk is whether a node without disk room is refused.
	filtersDisk bool
	// weights are the configured ones. A cycle leaves out a part in which all nodes are equal.
	weights  weights
	sizes    *imageSizes
	siblings *siblingCounts
	names    *listedNames
}

var (
	_ fwk.PreFilterPlugin   = &ImageZone{}
	_ fwk.FilterPlugin      = &ImageZone{}
	_ fwk.EnqueueExtensions = &ImageZone{}
	_ fwk.PreScorePlugin    = &ImageZone{}
	_ fwk.ScorePlugin       = &ImageZone{}
	_ fwk.ScoreExtensions   = &ImageZone{}
	_ fwk.SignPlugin        = &ImageZone{}
)

// New is the plugin's factory (runtime.PluginFactory). It fails if the arguments are not valid ImageZoneArgs, so that
// the scheduler does not start.
func New(_ context.Context, obj runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args, err := decodeArgs(obj)
	if err != nil {
		return nil, fmt.Errorf("configuring profile %q: %w", handle.ProfileName(), err)
	}
	if handle.SnapshotSharedLister() == nil {
		return nil, errors.New("the framework handle has no snapshot of the nodes")
	}
	return &ImageZone{
		handle:      handle,
		filtersDisk: *args.DiskFilter,
		weights:     weights{image: *args.ImageWeight, zone: *args.ZoneWeight},
		sizes:       newImageSizes(),
		siblings:    newSiblingCounts(),
		names:       newListedNames(),
	}, nil
}

// Name returns the plugin's name.
func (pl *ImageZone) Name() string {
	return Name
}
