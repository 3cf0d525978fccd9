// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"podtrail.dev/podtrail/scheduler-plugin/pluginargs"
)

const (
	defaultImageWeight int64 = 1
	// An uneven spread over zones lasts as long as the Pods, and a pull happens once. So by default the zones win if the
	// two disagree.
	defaultZoneWeight int64 = 2

	// Without it the pull can fill the disk of a node, and the kubelet then evicts other Pods.
	defaultDiskFilter = true

	minWeight int64 = 0
	maxWeight int64 = 100
)

// ImageZoneArgs are the plugin's arguments in KubeSchedulerConfiguration, under pluginConfig. By upstream's convention
// the type is named after the plugin, with the suffix "Args".
type ImageZoneArgs struct {
	metav1.TypeMeta `json:",inline"`

	// ImageWeight is the weight, 0 to 100, of the share of the Pod's image bytes that a node already holds. Defaults to 1.
	// 0 leaves images out.
	ImageWeight *int64 `json:"imageWeight,omitempty"`

	// ZoneWeight is the weight, 0 to 100, of the preference for zones with fewer of the Pod's siblings. Defaults to 2. 0
	// leaves zones out and lets Pods that have a controller be scheduled in batches.
	ZoneWeight *int64 `json:"zoneWeight,omitempty"`

	// DiskFilter is whether a node without disk room for the images that the Pod would have to pull is refused. Defaults
	// to true. Set it to false if nodes keep images on a separate disk: their status does not cover it.
	DiskFilter *bool `json:"diskFilter,omitempty"`
}

// decodeArgs returns the decoded, defaulted and validated arguments.
func decodeArgs(obj runtime.Object) (*ImageZoneArgs, error) {
	args, err := pluginargs.Decode[ImageZoneArgs](obj, Name, fmt.Sprintf(
		"imageWeight and zoneWeight, whole numbers from %d to %d, and diskFilter, true or false", minWeight, maxWeight))
	if err != nil {
		return nil, err
	}
	setDefaults(args)
	if err := validateArgs(args).ToAggregate(); err != nil {
		return nil, err
	}
	return args, nil
}

func setDefaults(args *ImageZoneArgs) {
	if args.ImageWeight == nil {
		args.ImageWeight = ptr.To(defaultImageWeight)
	}
	if args.ZoneWeight == nil {
		args.ZoneWeight = ptr.To(defaultZoneWeight)
	}
	if args.DiskFilter == nil {
		args.DiskFilter = ptr.To(defaultDiskFilter)
	}
}

// validateArgs expects defaulted arguments.
func validateArgs(args *ImageZoneArgs) field.ErrorList {
	path := pluginargs.Path(Name)
	errs := validateWeight(path.Child("imageWeight"), *args.ImageWeight)
	errs = append(errs, validateWeight(path.Child("zoneWeight"), *args.ZoneWeight)...)
	if *args.ImageWeight == 0 && *args.ZoneWeight == 0 && !*args.DiskFilter {
		errs = append(errs, field.Invalid(path.Child("zoneWeight"), 0,
			"imageWeight and zoneWeight are both 0 and diskFilter is false, so nothing is left to do: set one of them, or disable the plugin in this profile"))
	}
	return errs
}

func validateWeight(path *field.Path, weight int64) field.ErrorList {
	if weight < minWeight || weight > maxWeight {
		return field.ErrorList{field.Invalid(path, weight,
			fmt.Sprintf("must be a whole number from %d to %d", minWeight, maxWeight))}
	}
	return nil
}
