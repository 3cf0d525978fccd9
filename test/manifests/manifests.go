// SPDX-License-Identifier: Apache-2.0

// Package manifests reads the files of config/ for tests on an API server without a cluster around it.
package manifests

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Read returns every object of the files that match the pattern, in the order of their names, kustomizations left out.
func Read(pattern string) ([]*unstructured.Unstructured, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", pattern, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no file matches %s", pattern)
	}
	var objects []*unstructured.Unstructured
	for _, name := range files {
		some, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		objects = append(objects, some...)
	}
	return objects, nil
}

func readFile(name string) (objects []*unstructured.Unstructured, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for decoder := yaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		obj := &unstructured.Unstructured{}
		if err := decoder.Decode(&obj.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if obj.GetKind() != "" && obj.GetKind() != "Kustomization" {
			objects = append(objects, obj)
		}
	}
}

// Redirect sends the API server's calls of webhooks to a port of this machine. An ExternalName Service keeps the rest
// as in a cluster: the name that the certificate must have, and HTTP/1.1. Objects that are neither a Service nor a
// webhook configuration stay as they are.
func Redirect(obj *unstructured.Unstructured, port int64) error {
	switch obj.GetKind() {
	case "Service":
		obj.Object["spec"] = map[string]any{"type": "ExternalName", "externalName": "127.0.0.1"}
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		hooks, _, err := unstructured.NestedSlice(obj.Object, "webhooks")
		if err != nil {
			return fmt.Errorf("reading the webhooks of %s: %w", obj.GetName(), err)
		}
		for i := range hooks {
			hook, ok := hooks[i].(map[string]any)
			if !ok {
				return fmt.Errorf("webhook %d of %s is no object", i, obj.GetName())
			}
			if err := unstructured.SetNestedField(hook, port, "clientConfig", "service", "port"); err != nil {
				return fmt.Errorf("redirecting webhook %d of %s: %w", i, obj.GetName(), err)
			}
		}
		if err := unstructured.SetNestedSlice(obj.Object, hooks, "webhooks"); err != nil {
			return fmt.Errorf("redirecting %s: %w", obj.GetName(), err)
		}
	}
	return nil
}
