// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"podtrail.dev/podtrail/scheduler-plugin/pluginargs"
)

// The values of DecisionRecorderArgs.Record.
const (
	// RecordLabelled records Pods of namespaces with the label podtrail.dev/decisions: enabled.
	RecordLabelled = "Labelled"
	// RecordAll records every Pod of the profile.
	RecordAll = "All"
)

const (
	defaultHoldTimeoutSeconds int64 = 300
	// maxHoldTimeoutSeconds is less than the 15 minutes that the framework lets a Pod wait in Permit (maxTimeout in
	// framework/runtime/framework.go).
	maxHoldTimeoutSeconds int64 = 840
)

// DecisionRecorderArgs are the plugin's arguments in KubeSchedulerConfiguration, under pluginConfig. By upstream's
// convention the type is named after the plugin, with the suffix "Args".
type DecisionRecorderArgs struct {
	metav1.TypeMeta `json:",inline"`

	// Record is whose decisions are recorded: Labelled or All. Defaults to Labelled.
	Record string `json:"record,omitempty"`

	// HoldTimeoutSeconds is how long a Pod with the annotation podtrail.dev/hold-at waits at most, from 1 to 840. Defaults
	// to 300.
	HoldTimeoutSeconds *int64 `json:"holdTimeoutSeconds,omitempty"`
}

// decodeArgs returns the decoded, defaulted and validated arguments.
func decodeArgs(obj runtime.Object) (*DecisionRecorderArgs, error) {
	args, err := pluginargs.Decode[DecisionRecorderArgs](obj, Name, "record and holdTimeoutSeconds")
	if err != nil {
		return nil, err
	}
	if args.Record == "" {
		args.Record = RecordLabelled
	}
	if args.HoldTimeoutSeconds == nil {
		args.HoldTimeoutSeconds = ptr.To(defaultHoldTimeoutSeconds)
	}
	if err := validateArgs(args).ToAggregate(); err != nil {
		return nil, err
	}
	return args, nil
}

// validateArgs expects defaulted arguments.
func validateArgs(args *DecisionRecorderArgs) field.ErrorList {
	path := pluginargs.Path(Name)
	var errs field.ErrorList
	if args.Record != RecordLabelled && args.Record != RecordAll {
		errs = append(errs, field.NotSupported(path.Child("record"), args.Record, []string{RecordLabelled, RecordAll}))
	}
	if s := *args.HoldTimeoutSeconds; s < 1 || s > maxHoldTimeoutSeconds {
		errs = append(errs, field.Invalid(path.Child("holdTimeoutSeconds"), s,
			fmt.Sprintf("must be from 1 to %d", maxHoldTimeoutSeconds)))
	}
	return errs
}
