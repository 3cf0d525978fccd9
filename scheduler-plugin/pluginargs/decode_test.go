// SPDX-License-Identifier: Apache-2.0

package pluginargs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

type testArgs struct {
	metav1.TypeMeta `json:",inline"`

	Weight int64 `json:"weight,omitempty"`
}

func TestDecode(t *testing.T) {
	asJSON := func(raw string) runtime.Object {
		return &runtime.Unknown{Raw: []byte(raw), ContentType: runtime.ContentTypeJSON}
	}
	const path = "pluginConfig[Example].args: "
	tests := map[string]struct {
		obj     runtime.Object
		want    testArgs
		wantErr string
	}{
		"no arguments":            {},
		"empty arguments":         {obj: &runtime.Unknown{}},
		"a field":                 {obj: asJSON(`{"weight":7}`), want: testArgs{Weight: 7}},
		"JSON without its type":   {obj: &runtime.Unknown{Raw: []byte(`{"weight":7}`)}, want: testArgs{Weight: 7}},
		"with the type's name":    {obj: asJSON(`{"kind":"ExampleArgs"}`), want: testArgs{TypeMeta: metav1.TypeMeta{Kind: "ExampleArgs"}}},
		"an unknown field":        {obj: asJSON(`{"wieght":7}`), wantErr: path + `unknown field "wieght"; it takes a weight`},
		"the wrong case":          {obj: asJSON(`{"Weight":7}`), wantErr: path + `unknown field "Weight"`},
		"a field twice":           {obj: asJSON(`{"weight":7,"weight":8}`), wantErr: path + `duplicate field "weight"`},
		"a value of another type": {obj: asJSON(`{"weight":"high"}`), wantErr: "weight of type int64; it takes a weight"},
		"another content type": {
			obj:     &runtime.Unknown{Raw: []byte(`weight: 7`), ContentType: runtime.ContentTypeYAML},
			wantErr: path + "want content type application/json, got application/yaml",
		},
		"another object": {obj: &corev1.Pod{}, wantErr: path + "want *runtime.Unknown, got *v1.Pod"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Decode[testArgs](tc.obj, "Example", "a weight")
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("Error %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("Decode: %v", err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("Arguments (-want +got):\n%s", diff)
			}
		})
	}
}
