// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// noRecords is a recorder that has seen nothing.
func noRecords(http.ResponseWriter, *http.Request) {}

// TestANameThatIsNotThere: what exists instead is said, with code 2.
func TestANameThatIsNotThere(t *testing.T) {
	pods := list(pod("demo", "web-x7k2p", ready), pod("demo", "web-98zrv", ready))
	cases := map[string]struct {
		api       api
		args      []string
		wantError []string
	}{
		"an unknown name lists what exists and the closest": {
			api: api{answers: map[string]string{demoPods: pods}}, args: []string{"pod/web-x7k2"},
			wantError: []string{"and no record of one; there are web-98zrv, web-x7k2p; did you mean web-x7k2p?", "next: podtrail trail pod/web-x7k2p -n demo"},
		},
		"an unknown name like no other": {
			api: api{answers: map[string]string{demoPods: pods}}, args: []string{"pod/database"},
			wantError: []string{"there are web-98zrv, web-x7k2p.", "next: podtrail trail pod/web-98zrv -n demo"},
		},
		"a name that is in another namespace": {
			api:  api{answers: map[string]string{"GET /api/v1/pods": list(pod("prod", "api", ready))}},
			args: []string{"po", "api"}, wantError: []string{"it exists in namespace prod.", "next: podtrail trail pod/api -n prod"},
		},
		"a namespace that does not exist": {
			api:  api{codes: map[string]int{"GET /api/v1/namespaces/nope": 404}},
			args: []string{"pod/x", "-n", "nope"}, wantError: []string{"the namespace does not exist.", "next: kubectl get namespaces"},
		},
		"none of that kind": {
			args: []string{"pod/x"}, wantError: []string{"there is none of that kind.", "next: kubectl get pods -A"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, _, errOut := callWithRecorder(t, tc.api, noRecords, tc.args...)
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			for _, want := range tc.wantError {
				if !strings.Contains(errOut, want) {
					t.Errorf("error lacks %q:\n%s", want, errOut)
				}
			}
		})
	}
}

// TestANameThatMayOnlyHaveBeenRecorded: a refused Pod exists in the recordings alone, so as long as these can't be read
// nothing is claimed about it, and the code is 3.
func TestANameThatMayOnlyHaveBeenRecorded(t *testing.T) {
	forward := "/api/v1/namespaces/podtrail-system/pods/podtrail-recorder-1/portforward"
	found := map[string]string{demoPods: list(pod("demo", "no-limits", ready))}
	cases := map[string]struct {
		answers   map[string]string
		codes     map[string]int
		wantError []string
	}{
		"no recorder": {wantError: []string{"There is no recorder in this cluster", "next: make deploy"}},
		"no right to the token": {
			answers: map[string]string{recorders: list(recorder)}, codes: map[string]int{viewers: 403},
			wantError: []string{"No permission to get a token that reads recordings", "next: kubectl auth can-i create serviceaccounts/token"},
		},
		"no right to the port-forward": {
			answers: map[string]string{recorders: list(recorder), viewers: token, reviews: denied},
			codes:   map[string]int{"GET " + forward: 403, "POST " + forward: 403},
			wantError: []string{
				"No permission to reach the recorders", "next: kubectl auth can-i create pods/portforward",
			},
		},
		"two sources at once, the first is the next thing to mend": {
			codes: map[string]int{"GET /api/v1/namespaces/demo/events": 403},
			wantError: []string{
				"No permission to list events", "There is no recorder in this cluster", "next: kubectl auth can-i list events",
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			answers := maps.Clone(found)
			maps.Copy(answers, tc.answers)
			server := httptest.NewServer(api{answers: answers, codes: tc.codes})
			defer server.Close()
			code, out, errOut := call(t, "--kubeconfig", kubeconfig(t, server.URL), "trail", "pod/no-limit")
			if code != 3 || out != "" {
				t.Errorf("exit code %d, want 3; printed %q", code, out)
			}
			if strings.Contains(errOut, "no record of") {
				t.Errorf("claims to know that there is no record:\n%s", errOut)
			}
			for _, want := range append(tc.wantError, `There is no pod "no-limit" in namespace demo`, "not everything could be read", "did you mean no-limits?") {
				if !strings.Contains(errOut, want) {
					t.Errorf("error lacks %q:\n%s", want, errOut)
				}
			}
		})
	}
}
