// SPDX-License-Identifier: Apache-2.0

package admission

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/validation"
)

//go:embed templates.yaml
var templatesYAML []byte

// Template is one case of templates.yaml, which says what its fields mean.
type Template struct {
	Name     string          `json:"name"`
	Template json.RawMessage `json:"template,omitempty"`
	Fields   []string        `json:"fields,omitempty"`
	Missed   []string        `json:"missed,omitempty"`
	Schema   bool            `json:"schema,omitempty"`
	Policy   *Difference     `json:"policy,omitempty"`

	// Spec is the template that the case makes.
	Spec corev1.PodTemplateSpec `json:"-"`
}

// Templates returns the cases of templates.yaml, with their templates.
func Templates() ([]Template, error) {
	var file struct {
		Define json.RawMessage `json:"define"`
		Base   json.RawMessage `json:"base"`
		Cases  []Template      `json:"cases"`
	}
	if err := yaml.UnmarshalStrict(templatesYAML, &file); err != nil {
		return nil, fmt.Errorf("reading templates.yaml: %w", err)
	}
	for i := range file.Cases {
		c := &file.Cases[i]
		raw, err := merge(file.Base, c.Template)
		if err != nil {
			return nil, fmt.Errorf("templates.yaml, case %q: %w", c.Name, err)
		}
		if err := json.Unmarshal(raw, &c.Spec); err != nil {
			return nil, fmt.Errorf("templates.yaml, case %q: %w", c.Name, err)
		}
		if c.Policy != nil && c.Policy.Why == "" {
			return nil, fmt.Errorf("templates.yaml, case %q: a difference without a reason", c.Name)
		}
	}
	return file.Cases, nil
}

// TeachingReplicaSet returns an object with the case's template.
func (c *Template) TeachingReplicaSet() *podtrailv1alpha1.TeachingReplicaSet {
	trs := &podtrailv1alpha1.TeachingReplicaSet{}
	trs.Name = "case"
	trs.Spec.Selector.MatchLabels = map[string]string{"app": "web"}
	trs.Spec.Template = *c.Spec.DeepCopy()
	return trs
}

// RefusedFields returns the fields that the functions name, as in a Pod.
func (c *Template) RefusedFields() sets.Set[string] {
	d := validation.DecideTeachingReplicaSet(validation.TeachingReplicaSetRequest{Object: c.TeachingReplicaSet()})
	fields := sets.New[string]()
	for _, line := range strings.Split(d.Message, "\n") {
		if path, _, found := strings.Cut(strings.TrimSpace(line), ": "); found && strings.HasPrefix(path, "spec.") {
			fields.Insert(strings.TrimPrefix(path, "spec.template."))
		}
	}
	return fields
}
