// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/render"
)

// schema reads docs/trail.schema.json. The validator follows no references, so they are put in place; an object's
// children are objects again, which is followed as deep as any trail is.
func schema(t *testing.T) *spec.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "trail.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	definitions, _ := document["definitions"].(map[string]any)
	delete(document, "definitions")
	whole, err := json.Marshal(inPlace(document, definitions, 0))
	if err != nil {
		t.Fatal(err)
	}
	var out spec.Schema
	if err := json.Unmarshal(whole, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

func inPlace(v any, definitions map[string]any, objects int) any {
	switch typed := v.(type) {
	case map[string]any:
		if reference, ok := typed["$ref"].(string); ok {
			name := strings.TrimPrefix(reference, "#/definitions/")
			if name == "object" {
				if objects++; objects > 4 {
					return map[string]any{}
				}
			}
			return inPlace(definitions[name], definitions, objects)
		}
		out := map[string]any{}
		for key, value := range typed {
			out[key] = inPlace(value, definitions, objects)
		}
		return out
	case []any:
		out := make([]any, len(typed))
		for i, value := range typed {
			out[i] = inPlace(value, definitions, objects)
		}
		return out
	}
	return v
}

func TestJSONIsAsTheSchemaSays(t *testing.T) {
	validator := validate.NewSchemaValidator(schema(t), nil, "", strfmt.Default)
	for name, subject := range map[string]trail.Subject{
		"deployment": deployment, "teachingreplicaset": teaching, "refused": noLimit, "quota": quota, "badimage": badImage,
		"unschedulable": nowhere, "crashloop": crash,
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := render.JSON(&out, load(t, name, subject), []render.Problem{{What: "w", Next: "n"}}); err != nil {
				t.Fatal(err)
			}
			var document map[string]any
			if err := json.Unmarshal(out.Bytes(), &document); err != nil {
				t.Fatal(err)
			}
			for _, err := range validator.Validate(document).Errors {
				t.Error(err)
			}
			document["surprise"] = true
			if validator.Validate(document).IsValid() {
				t.Error("a field that the schema does not name was accepted")
			}
		})
	}
}
