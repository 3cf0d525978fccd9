// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
)

func TestDecodeArgs(t *testing.T) {
	tests := map[string]struct {
		json      string
		want      DecisionRecorderArgs
		wantError string
	}{
		"nothing is defaulted":    {want: DecisionRecorderArgs{Record: RecordLabelled, HoldTimeoutSeconds: ptr.To[int64](300)}},
		"all as given":            {json: `{"record":"All","holdTimeoutSeconds":7}`, want: DecisionRecorderArgs{Record: RecordAll, HoldTimeoutSeconds: ptr.To[int64](7)}},
		"an unknown field":        {json: `{"records":"All"}`, wantError: `unknown field "records"; it takes record and holdTimeoutSeconds`},
		"an unknown choice":       {json: `{"record":"Some"}`, wantError: `pluginConfig[DecisionRecorder].args.record: Unsupported value: "Some": supported values: "Labelled", "All"`},
		"no time":                 {json: `{"holdTimeoutSeconds":0}`, wantError: "holdTimeoutSeconds: Invalid value: 0: must be from 1 to 840"},
		"more than upstream lets": {json: `{"holdTimeoutSeconds":900}`, wantError: "holdTimeoutSeconds: Invalid value: 900: must be from 1 to 840"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var obj runtime.Object
			if tc.json != "" {
				obj = &runtime.Unknown{Raw: []byte(tc.json), ContentType: runtime.ContentTypeJSON}
			}
			got, err := decodeArgs(obj)
			if tc.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantError) {
					t.Fatalf("Error %v, want one with %q", err, tc.wantError)
				}
				return
			}
			if err != nil {
				t.Fatalf("decodeArgs: %v", err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("Arguments (-want +got):\n%s", diff)
			}
		})
	}
}
