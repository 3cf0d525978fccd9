// SPDX-License-Identifier: Apache-2.0

// Command bound-crd sets, in the generated CustomResourceDefinition of TeachingReplicaSet, the bounds that
// controller-gen has no markers for, because they lie inside types of other modules: metav1.LabelSelector and the
// template's labels. The API server estimates from such bounds what a CEL rule may cost, and refuses the definition
// without them. Lengths are those that Kubernetes allows for label keys and values; numbers are far above what is
// used.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

const (
	maxLabels       = 256
	maxRequirements = 64
	maxValues       = 64
	maxKeyLength    = 253 + len("/") + 63
	maxValueLength  = 63
)

// bounds maps a place in the schema of spec to what is set there.
var bounds = []struct {
	path []string
	set  map[string]any
}{
	{[]string{"selector", "properties", "matchLabels"}, map[string]any{"maxProperties": maxLabels}},
	{[]string{"selector", "properties", "matchLabels", "additionalProperties"}, map[string]any{"maxLength": maxValueLength}},
	{[]string{"selector", "properties", "matchExpressions"}, map[string]any{"maxItems": maxRequirements}},
	{[]string{"selector", "properties", "matchExpressions", "items", "properties", "key"}, map[string]any{"maxLength": maxKeyLength}},
	{[]string{"selector", "properties", "matchExpressions", "items", "properties", "operator"}, map[string]any{"maxLength": len("DoesNotExist")}},
	{[]string{"selector", "properties", "matchExpressions", "items", "properties", "values"}, map[string]any{"maxItems": maxValues}},
	{[]string{"selector", "properties", "matchExpressions", "items", "properties", "values", "items"}, map[string]any{"maxLength": maxValueLength}},
	{[]string{"template", "properties", "metadata", "properties", "labels"}, map[string]any{"maxProperties": maxLabels}},
	{[]string{"template", "properties", "metadata", "properties", "labels", "additionalProperties"}, map[string]any{"maxLength": maxValueLength}},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bound-crd FILE")
		os.Exit(2)
	}
	if err := rewrite(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "bound-crd:", err)
		os.Exit(1)
	}
}

// rewrite changes the definition as plain data, so that nothing but the bounds differs from controller-gen's output.
func rewrite(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the definition: %w", err)
	}
	var definition map[string]any
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return fmt.Errorf("parsing %s: %w", file, err)
	}
	spec, err := specSchema(definition)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, b := range bounds {
		node, err := descend(spec, b.path...)
		if err != nil {
			return fmt.Errorf("%s: spec: %w", file, err)
		}
		for key, value := range b.set {
			node[key] = value
		}
	}
	if text, err = yaml.Marshal(definition); err != nil {
		return fmt.Errorf("encoding %s: %w", file, err)
	}
	if err := os.WriteFile(file, append([]byte("---\n"), text...), 0o644); err != nil {
		return fmt.Errorf("writing the definition: %w", err)
	}
	return nil
}

// specSchema returns the properties of spec in the definition's only version.
func specSchema(definition map[string]any) (map[string]any, error) {
	spec, err := descend(definition, "spec")
	if err != nil {
		return nil, err
	}
	versions, ok := spec["versions"].([]any)
	if !ok || len(versions) != 1 {
		return nil, fmt.Errorf("spec.versions has %d entries, not 1", len(versions))
	}
	version, ok := versions[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("spec.versions[0] is not an object")
	}
	return descend(version, "schema", "openAPIV3Schema", "properties", "spec", "properties")
}

func descend(node map[string]any, path ...string) (map[string]any, error) {
	for i, name := range path {
		next, ok := node[name].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("no object at %v", path[:i+1])
		}
		node = next
	}
	return node, nil
}
