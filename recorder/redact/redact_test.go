// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hidden stands in the cases for what must not be kept.
const hidden = "hunter2"

// quoted returns the text as a JSON string.
func quoted(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func TestRedact(t *testing.T) {
	pod := `{"spec":{"containers":[{"name":"plainly","env":[{"name":"PASSWORD","value":"hunter2"},{"name":"EMPTY","value":""},{"name":"REF","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}]}}`
	cleanPod := `{"spec":{"containers":[{"env":[{"name":"PASSWORD","value":"<redacted>"},{"name":"EMPTY","value":""},{"name":"REF","valueFrom":{"secretKeyRef":{"key":"k","name":"s"}}}],"name":"plainly"}]}}`
	tests := map[string]struct {
		event string
		want  string
	}{
		"nothing to hide comes back byte for byte": {
			event: `{ "z":1, "a":{"image":"plainly:1.0"}, "n":123456789012345678901 }`,
			want:  `{ "z":1, "a":{"image":"plainly:1.0"}, "n":123456789012345678901 }`,
		},
		"a label called env and an envFrom hide nothing": {
			event: `{"z":{"labels":{"env":"plainly"}},"envFrom":[{"secretRef":{"name":"s"}}]}`,
			want:  `{"z":{"labels":{"env":"plainly"}},"envFrom":[{"secretRef":{"name":"s"}}]}`,
		},
		"the environment of the Pod that was sent and of the one returned": {
			event: `{"requestObject":` + pod + `,"responseObject":` + pod + `}`,
			want:  `{"requestObject":` + cleanPod + `,"responseObject":` + cleanPod + `}`,
		},
		"large numbers stay exact": {
			event: `{"n":123456789012345678901,"env":[{"value":"hunter2"}]}`,
			want:  `{"env":[{"value":"<redacted>"}],"n":123456789012345678901}`,
		},
		"a value of the wrong type": {
			event: `{"env":[{"name":"A","value":{"s":"hunter2"}},{"name":"B","value":["hunter2"]},{"name":"C","value":null}]}`,
			want:  `{"env":[{"name":"A","value":"<redacted>"},{"name":"B","value":"<redacted>"},{"name":"C","value":null}]}`,
		},
		"a key spelled with escapes": {
			event: `{"\u0065nv":[{"value":"hunter2"}]}`,
			want:  `{"env":[{"value":"<redacted>"}]}`,
		},
		"a list of Pods, as deletecollection returns it": {
			event: `{"responseObject":{"items":[` + pod + `]}}`,
			want:  `{"responseObject":{"items":[` + cleanPod + `]}}`,
		},
		"a Deployment's template": {
			event: `{"requestObject":{"spec":{"template":` + pod + `}}}`,
			want:  `{"requestObject":{"spec":{"template":` + cleanPod + `}}}`,
		},
		"a probe's HTTP headers": {
			event: `{"httpGet":{"httpHeaders":[{"name":"Authorization","value":"hunter2"}]}}`,
			want:  `{"httpGet":{"httpHeaders":[{"name":"Authorization","value":"<redacted>"}]}}`,
		},
		"a field called token": {
			event: `{"status":{"token":"hunter2"}}`,
			want:  `{"status":{"token":"<redacted>"}}`,
		},
		"a projected token's path is no secret": {
			event: `{"serviceAccountToken":{"path":"plainly"}}`,
			want:  `{"serviceAccountToken":{"path":"plainly"}}`,
		},
		"a JSON patch that adds one variable": {
			event: `{"requestObject":[{"op":"add","path":"/spec/containers/0/env/-","value":{"name":"A","value":"hunter2"}}]}`,
			want:  `{"requestObject":[{"op":"add","path":"/spec/containers/0/env/-","value":{"name":"A","value":"<redacted>"}}]}`,
		},
		"a JSON patch that adds the list": {
			event: `{"requestObject":[{"op":"add","path":"/spec/containers/0/env","value":[{"name":"A","value":"hunter2"}]}]}`,
			want:  `{"requestObject":[{"op":"add","path":"/spec/containers/0/env","value":[{"name":"A","value":"<redacted>"}]}]}`,
		},
		"a JSON patch that replaces one value": {
			event: `{"requestObject":[{"op":"replace","path":"/spec/containers/0/env/3/value","value":"hunter2"},{"op":"replace","path":"/spec/x","value":"plainly"}]}`,
			want:  `{"requestObject":[{"op":"replace","path":"/spec/containers/0/env/3/value","value":"<redacted>"},{"op":"replace","path":"/spec/x","value":"plainly"}]}`,
		},
		"a JSON patch that adds a container": {
			event: `{"requestObject":[{"op":"add","path":"/spec/containers/-","value":{"name":"plainly","env":[{"name":"A","value":"hunter2"}]}}]}`,
			want:  `{"requestObject":[{"op":"add","path":"/spec/containers/-","value":{"env":[{"name":"A","value":"<redacted>"}],"name":"plainly"}}]}`,
		},
		"last-applied-configuration": {
			event: `{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":` + quoted(t, pod+"\n") + `}}`,
			want:  `{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":` + quoted(t, cleanPod) + `}}`,
		},
		"a JSON patch of last-applied-configuration": {
			event: `{"requestObject":[{"op":"add","path":"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration","value":` + quoted(t, pod) + `}]}`,
			want:  `{"requestObject":[{"op":"add","path":"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration","value":` + quoted(t, cleanPod) + `}]}`,
		},
		"a webhook's patch, with last-applied-configuration in it": {
			event: `{"annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":` +
				quoted(t, `{"patch":[{"op":"add","path":"/spec/initContainers/-","value":{"env":[{"name":"A","value":"hunter2"}]}},{"op":"add","path":"/metadata/annotations","value":{"last":`+quoted(t, pod)+`}}]}`) + `}}`,
			want: `{"annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":` +
				quoted(t, `{"patch":[{"op":"add","path":"/spec/initContainers/-","value":{"env":[{"name":"A","value":"<redacted>"}]}},{"op":"add","path":"/metadata/annotations","value":{"last":`+quoted(t, cleanPod)+`}}]}`) + `}}`,
		},
		"an annotation that is cut off in its JSON goes whole": {
			event: `{"annotations":{"last":` + quoted(t, pod[:100]) + `}}`,
			want:  `{"annotations":{"last":"<redacted>"}}`,
		},
		"an annotation of several JSON values goes whole": {
			event: `{"annotations":{"last":` + quoted(t, `{} `+pod) + `}}`,
			want:  `{"annotations":{"last":"<redacted>"}}`,
		},
		"the refusal of an update shows no diff": {
			event: `{"responseStatus":{"message":"Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than plainly\n@@ -1 +1 @@\n- hunter2\n"}}`,
			want:  `{"responseStatus":{"message":"Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than plainly\n<redacted>"}}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := JSON([]byte(tc.event))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("redact (-want +got):\n%s", diff)
			}
			if strings.Contains(string(got), hidden) {
				t.Errorf("%q is still in it", hidden)
			}
		})
	}
}

func TestRedactFollowsJSONInStringsToABound(t *testing.T) {
	text := `{"env":[{"value":"hunter2"}]}`
	for range maxNesting + 2 {
		text = `{"inner":` + quoted(t, text) + `}`
	}
	got, err := JSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), Redacted) || strings.Contains(string(got), hidden) {
		t.Errorf("got %s, want the innermost string taken out", got)
	}
}
