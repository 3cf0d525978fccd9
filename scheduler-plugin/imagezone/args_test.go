// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestDecodeArgs(t *testing.T) {
	tests := map[string]struct {
		obj         runtime.Object
		wantWeights weights
		wantErr     []string
	}{
		"no arguments": {
			wantWeights: weights{image: 1, zone: 2},
		},
		"empty arguments": {
			obj:         &runtime.Unknown{},
			wantWeights: weights{image: 1, zone: 2},
		},
		"one weight given": {
			obj:         &runtime.Unknown{Raw: []byte(`{"imageWeight":7}`), ContentType: runtime.ContentTypeJSON},
			wantWeights: weights{image: 7, zone: 2},
		},
		"the largest and the smallest weight": {
			obj:         &runtime.Unknown{Raw: []byte(`{"imageWeight":100,"zoneWeight":0}`)},
			wantWeights: weights{image: 100, zone: 0},
		},
		"with the type that upstream's arguments carry": {
			obj:         &runtime.Unknown{Raw: []byte(`{"apiVersion":"kubescheduler.config.k8s.io/v1","kind":"ImageZoneArgs"}`)},
			wantWeights: weights{image: 1, zone: 2},
		},
		"a misspelt field": {
			obj:     &runtime.Unknown{Raw: []byte(`{"imageWieght":7}`)},
			wantErr: []string{"pluginConfig[ImageZone].args", `unknown field "imageWieght"`, "it takes imageWeight and zoneWeight"},
		},
		"a field in the wrong case": {
			obj:     &runtime.Unknown{Raw: []byte(`{"imageweight":7}`)},
			wantErr: []string{`unknown field "imageweight"`},
		},
		"a field given twice": {
			obj:     &runtime.Unknown{Raw: []byte(`{"imageWeight":7,"imageWeight":8}`)},
			wantErr: []string{`duplicate field "imageWeight"`},
		},
		"a weight that is no number": {
			obj:     &runtime.Unknown{Raw: []byte(`{"zoneWeight":"high"}`)},
			wantErr: []string{"pluginConfig[ImageZone].args", "zoneWeight", "whole numbers from 0 to 100"},
		},
		"a negative weight and one too large, both named": {
			obj: &runtime.Unknown{Raw: []byte(`{"imageWeight":-1,"zoneWeight":101}`)},
			wantErr: []string{
				"pluginConfig[ImageZone].args.imageWeight: Invalid value: -1: must be a whole number from 0 to 100",
				"pluginConfig[ImageZone].args.zoneWeight: Invalid value: 101: must be a whole number from 0 to 100",
			},
		},
		"both weights 0 leave the filter": {
			obj: &runtime.Unknown{Raw: []byte(`{"imageWeight":0,"zoneWeight":0}`)},
		},
		"nothing left to do": {
			obj:     &runtime.Unknown{Raw: []byte(`{"imageWeight":0,"zoneWeight":0,"diskFilter":false}`)},
			wantErr: []string{"pluginConfig[ImageZone].args.zoneWeight", "diskFilter is false", "set one of them, or disable the plugin"},
		},
		"a filter that is neither on nor off": {
			obj:     &runtime.Unknown{Raw: []byte(`{"diskFilter":"yes"}`)},
			wantErr: []string{"pluginConfig[ImageZone].args", "diskFilter", "true or false"},
		},
		"not JSON": {
			obj:     &runtime.Unknown{Raw: []byte(`imageWeight: 7`), ContentType: runtime.ContentTypeYAML},
			wantErr: []string{"want content type application/json, got application/yaml"},
		},
		"an object of another type": {
			obj:     &corev1.Pod{},
			wantErr: []string{"want *runtime.Unknown, got *v1.Pod"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			args, err := decodeArgs(tc.obj)
			if len(tc.wantErr) > 0 {
				assertErrorNames(t, err, tc.wantErr)
				return
			}
			if err != nil {
				t.Fatalf("Decoding: %v", err)
			}
			got := weights{image: *args.ImageWeight, zone: *args.ZoneWeight}
			if diff := cmp.Diff(tc.wantWeights, got, cmp.AllowUnexported(weights{})); diff != "" {
				t.Errorf("Weights (-want +got):\n%s", diff)
			}
		})
	}
}

func assertErrorNames(t *testing.T, err error, wants []string) {
	t.Helper()
	if err == nil {
		t.Fatalf("No error, want one that names %q", wants)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Error %q does not name %q", err, want)
		}
	}
}
