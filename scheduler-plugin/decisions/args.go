// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	kjson "sigs.k8s.io/json"
)

// Whose decisions are recorded.
const (
	// RecordLabelled records Pods of namespaces with the label podtrail.dev/decisions: enabled.
	RecordLabelled = "Labelled"
	// RecordAll records every Pod of the profile.
	RecordAll = "All"
)

const (
	defaultHoldTimeoutSeconds int64 = 300
	// maxHoldTimeoutSeconds leaves room below the 15 minutes that the framework lets a Pod wait in Permit
	// (maxTimeout in framework/runtime/framework.go).
	maxHoldTimeoutSeconds int64 = 840
)

// DecisionRecorderArgs are the plugin's arguments in KubeSchedulerConfiguration, under pluginConfig. The name is fixed
// by upstream's convention: plugin name and "Args".
type DecisionRecorderArgs struct {
	metav1.TypeMeta `json:",inline"`

	// Record says whose decisions are recorded: Labelled (the default) or All.
	Record string `json:"record,omitempty"`

	// HoldTimeoutSeconds is how long a Pod with the annotation podtrail.dev/hold-at waits at most, 1 to 840. Defaults
	// to 300.
	HoldTimeoutSeconds *int64 `json:"holdTimeoutSeconds,omitempty"`
}

// decodeArgs returns the decoded, defaulted and validated arguments. obj is what the framework hands to a factory:
// nil, or *runtime.Unknown with JSON. Fields that it does not know are refused, as in ImageZone.
func decodeArgs(obj runtime.Object) (*DecisionRecorderArgs, error) {
	path := field.NewPath("pluginConfig").Key(Name).Child("args")
	args := &DecisionRecorderArgs{}
	if obj != nil {
		unknown, ok := obj.(*runtime.Unknown)
		if !ok || unknown.ContentType != "" && unknown.ContentType != runtime.ContentTypeJSON {
			return nil, fmt.Errorf("%s: want JSON in *runtime.Unknown, got %T", path, obj)
		}
		if len(unknown.Raw) > 0 {
			strictErrs, err := kjson.UnmarshalStrict(unknown.Raw, args)
			if err := errors.Join(append(strictErrs, err)...); err != nil {
				return nil, fmt.Errorf("%s: %w; it takes record and holdTimeoutSeconds", path, err)
			}
		}
	}
	if args.Record == "" {
		args.Record = RecordLabelled
	}
	if args.HoldTimeoutSeconds == nil {
		args.HoldTimeoutSeconds = ptr.To(defaultHoldTimeoutSeconds)
	}
	return args, validateArgs(args, path).ToAggregate()
}

func validateArgs(args *DecisionRecorderArgs, path *field.Path) field.ErrorList {
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
