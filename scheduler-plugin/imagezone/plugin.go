// SPDX-License-Identifier: Apache-2.0

// Package imagezone is a scheduler plugin that prefers nodes which already
// hold the Pod's images, and zones which hold fewer of the Pod's siblings.
//
// The extension points only fetch and translate. What they decide is computed
// by functions that know neither the framework's handle nor a client. The
// upstream counterparts are pkg/scheduler/framework/plugins/imagelocality and
// the soft constraints of .../podtopologyspread in k8s.io/kubernetes.
package imagezone

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
)

// Name is the plugin's name in the registry and in KubeSchedulerConfiguration.
const Name = "ImageZone"

// ImageZone scores nodes by the image bytes they spare and by the siblings in
// their zone. It holds no state between scheduling cycles.
type ImageZone struct {
	handle fwk.Handle
	// weights are the configured ones; a cycle leaves out a part with nothing
	// to grade.
	weights weights
}

var (
	_ fwk.PreScorePlugin  = &ImageZone{}
	_ fwk.ScorePlugin     = &ImageZone{}
	_ fwk.ScoreExtensions = &ImageZone{}
	_ fwk.SignPlugin      = &ImageZone{}
)

// New is the plugin's factory (runtime.PluginFactory). It fails if the
// arguments are not valid ImageZoneArgs; the scheduler then does not start.
func New(_ context.Context, obj runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args, err := decodeArgs(obj)
	if err != nil {
		return nil, fmt.Errorf("configuring profile %q: %w", handle.ProfileName(), err)
	}
	if handle.SnapshotSharedLister() == nil {
		return nil, errors.New("the framework handle has no snapshot of the nodes")
	}
	return &ImageZone{
		handle:  handle,
		weights: weights{image: *args.ImageWeight, zone: *args.ZoneWeight},
	}, nil
}

// Name returns the plugin's name.
func (pl *ImageZone) Name() string {
	return Name
}

// SignPod signs a Pod by its images, under the key and with the value that
// upstream's ImageLocality uses, so that both plugins share one fragment. Two
// image names that sign equally are looked up under equal names, see listedNames.
//
// A Pod whose siblings are counted is not signed: its score on every node of a
// zone changes with each sibling that is placed there, so the scores of the Pod
// before it must not be reused (KEP-5598).
func (pl *ImageZone) SignPod(_ context.Context, pod *corev1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	if pl.weights.zone > 0 && metav1.GetControllerOfNoCopy(pod) != nil {
		return nil, fwk.NewStatus(fwk.Unschedulable, "the zone score depends on where the Pod's siblings are")
	}
	return []fwk.SignFragment{{Key: fwk.ImageNamesSignerName, Value: sortedImageNames(pod)}}, nil
}
