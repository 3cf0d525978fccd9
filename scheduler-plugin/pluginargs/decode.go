// SPDX-License-Identifier: Apache-2.0

// Package pluginargs decodes the arguments that a profile of KubeSchedulerConfiguration gives to a plugin.
package pluginargs

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// Path is where the arguments of a plugin are in a profile.
func Path(plugin string) *field.Path {
	return field.NewPath("pluginConfig").Key(plugin).Child("args")
}

// Decode returns the arguments of a plugin, which are T's zero value if there are none. obj is what the framework
// passes to a factory: nil, or *runtime.Unknown with JSON. Takes completes the sentence "it takes …" of the error.
//
// Unlike upstream's DecodeInto (framework/runtime/registry.go) it refuses unknown and repeated fields: a misspelt
// weight would otherwise silently be the default.
func Decode[T any](obj runtime.Object, plugin, takes string) (*T, error) {
	args := new(T)
	raw, err := rawJSON(obj)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Path(plugin), err)
	}
	if len(raw) == 0 {
		return args, nil
	}
	strictErrs, err := kjson.UnmarshalStrict(raw, args)
	if err := errors.Join(append(strictErrs, err)...); err != nil {
		return nil, fmt.Errorf("%s: %w; it takes %s", Path(plugin), err, takes)
	}
	return args, nil
}

func rawJSON(obj runtime.Object) ([]byte, error) {
	if obj == nil {
		return nil, nil
	}
	unknown, ok := obj.(*runtime.Unknown)
	if !ok {
		return nil, fmt.Errorf("want *runtime.Unknown, got %T", obj)
	}
	if unknown.ContentType != "" && unknown.ContentType != runtime.ContentTypeJSON {
		return nil, fmt.Errorf("want content type %s, got %s", runtime.ContentTypeJSON, unknown.ContentType)
	}
	return unknown.Raw, nil
}
