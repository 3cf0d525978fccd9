// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
)

// api is an API server that answers lists from what it is given. A path it does not know gives an empty list.
type api struct {
	// answers are bodies by method and path; codes are refusals by method and path.
	answers map[string]string
	codes   map[string]int
}

func (a api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.Path
	w.Header().Set("Content-Type", "application/json")
	if code := a.codes[key]; code != 0 {
		w.WriteHeader(code)
		reason := map[int]string{401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}[code]
		_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":"refused by the test"}`, code, reason)
		return
	}
	if body, ok := a.answers[key]; ok {
		_, _ = fmt.Fprint(w, chosen(body, r.URL.Query().Get("fieldSelector")))
		return
	}
	_, _ = fmt.Fprint(w, `{"kind":"List","apiVersion":"v1","metadata":{},"items":[]}`)
}

// chosen is the list without the items that a field selector leaves out.
func chosen(body, selector string) string {
	if selector == "" {
		return body
	}
	parsed, err := fields.ParseSelector(selector)
	if err != nil {
		panic(err)
	}
	var all unstructured.UnstructuredList
	if err := all.UnmarshalJSON([]byte(body)); err != nil {
		panic(err)
	}
	all.Items = slices.DeleteFunc(all.Items, func(item unstructured.Unstructured) bool {
		kind, _, _ := unstructured.NestedString(item.Object, "involvedObject", "kind")
		name, _, _ := unstructured.NestedString(item.Object, "involvedObject", "name")
		return !parsed.Matches(fields.Set{"metadata.name": item.GetName(), "involvedObject.kind": kind, "involvedObject.name": name})
	})
	out, err := all.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return string(out)
}

func list(items ...string) string {
	return `{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[` + strings.Join(items, ",") + `]}`
}

func pod(namespace, name, status string) string {
	return fmt.Sprintf(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":%q,"namespace":%q,"uid":"uid-%s","resourceVersion":"5",`+
		`"creationTimestamp":"2026-11-22T12:00:00Z"},"spec":{"nodeName":"worker","schedulerName":"default-scheduler","containers":[]},"status":%s}`,
		name, namespace, name, status)
}

const (
	ready     = `{"phase":"Running","hostIP":"10.0.0.1","podIP":"10.1.0.1","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-11-22T12:00:02Z"}]}`
	badImage  = `{"phase":"Pending","hostIP":"10.0.0.1","containerStatuses":[{"name":"app","state":{"waiting":{"reason":"ErrImagePull","message":"not found"}}}]}`
	demoPods  = "GET /api/v1/namespaces/demo/pods"
	recorders = "GET /api/v1/namespaces/podtrail-system/pods"
	viewers   = "POST /api/v1/namespaces/podtrail-system/serviceaccounts/podtrail-viewer/token"
	recorder  = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"podtrail-recorder-1","namespace":"podtrail-system","labels":{"app.kubernetes.io/component":"recorder"}},"spec":{"nodeName":"cp"},"status":{"phase":"Running"}}`
	reviews   = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
	denied    = `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":false}}`
	allowed   = `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":true}}`
	token     = `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","status":{"token":"viewer-token"}}`
)

// kubeconfig writes a configuration whose context demo leads to the address.
func kubeconfig(t *testing.T, address string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	content := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: demo,
clusters: [{name: c, cluster: {server: %q}}], users: [{name: u, user: {token: t}}],
contexts: [{name: demo, context: {cluster: c, user: u, namespace: demo}}, {name: other, context: {cluster: c, user: u}}]}`, address)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// call runs the command line as main does.
func call(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Main("", append([]string{"podtrail"}, args...), strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestWhatTheCommandSaysToBadInput(t *testing.T) {
	pods := list(pod("demo", "web-x7k2p", ready), pod("demo", "web-98zrv", ready))
	cases := map[string]struct {
		api       api
		args      []string
		wantCode  int
		wantError []string
		wantOut   []string
	}{
		"nothing to show":    {args: []string{"trail"}, wantCode: 2, wantError: []string{"KIND/NAME", "next: podtrail trail"}},
		"no kind":            {args: []string{"trail", "web"}, wantCode: 2, wantError: []string{`"web" is not KIND/NAME`}},
		"no name":            {args: []string{"trail", "pod/"}, wantCode: 2, wantError: []string{"is not the name of a pod"}},
		"two objects":        {args: []string{"trail", "pod", "a", "b"}, wantCode: 2, wantError: []string{"One object at a time"}},
		"an unknown flag":    {args: []string{"trail", "pod/x", "--wat"}, wantCode: 2, wantError: []string{"unknown flag: --wat", "next: "}},
		"an unknown command": {args: []string{"tail"}, wantCode: 2, wantError: []string{"unknown command"}},
		"an unknown kind lists the kinds and the closest": {
			args: []string{"trail", "deploymnt/web"}, wantCode: 2,
			wantError: []string{`"deploymnt"`, "deployment (deploy), replicaset (rs), teachingreplicaset (trs), pod (po)", "did you mean deployment?"},
		},
		"an unknown output lists the outputs": {
			args: []string{"trail", "pod/x", "-o", "wide"}, wantCode: 2, wantError: []string{`"wide"`, "tree, table, json, yaml"},
		},
		"no permission to list what is asked for": {
			api: api{codes: map[string]int{demoPods: 403}}, args: []string{"trail", "pod/x"}, wantCode: 3,
			wantError: []string{"list pods in namespace demo is forbidden", "next: kubectl auth can-i list pods -n demo"},
		},
		"a credential that is not accepted": {
			api: api{codes: map[string]int{"GET /apis/apps/v1/namespaces/demo/deployments": 401}}, args: []string{"trail", "pod/x"}, wantCode: 3,
			wantError: []string{"does not accept the credential", "kubectl auth whoami"},
		},
		"a cluster without our kind": {
			api:  api{codes: map[string]int{"GET /apis/apps.podtrail.dev/v1alpha1/namespaces/demo/teachingreplicasets": 404}},
			args: []string{"trail", "trs/web"}, wantCode: 2, wantError: []string{"no kind TeachingReplicaSet", "next: make deploy"},
		},
		"no recorder: the trail is printed all the same": {
			api: api{answers: map[string]string{demoPods: pods}}, args: []string{"trail", "pod/web-x7k2p"}, wantCode: 0,
			wantOut: []string{"pod/web-x7k2p  Ready in 2.00 s", "1–5", "no evidence", "missing: There is no recorder", "make deploy"},
		},
		"no recorder: beside a table it is said on stderr": {
			api: api{answers: map[string]string{demoPods: pods}}, args: []string{"trail", "pod/web-x7k2p", "-o", "table"}, wantCode: 0,
			wantOut: []string{"9/Run"}, wantError: []string{"missing: There is no recorder", "next:    make deploy"},
		},
		"no recorder: JSON holds it": {
			api: api{answers: map[string]string{demoPods: pods}}, args: []string{"trail", "pod/web-x7k2p", "-o", "json"}, wantCode: 0,
			wantOut: []string{"There is no recorder"},
		},
		"no permission for the token: the trail is printed all the same": {
			api:  api{answers: map[string]string{demoPods: pods, recorders: list(recorder)}, codes: map[string]int{viewers: 403}},
			args: []string{"trail", "pod/web-x7k2p"}, wantCode: 0,
			wantOut: []string{"Ready in 2.00 s", "missing: No permission to get a token", "create serviceaccounts/token"},
		},
		"no permission for the port-forward: the trail is printed all the same": {
			api: api{answers: map[string]string{demoPods: pods, recorders: list(recorder), viewers: token, reviews: denied},
				codes: map[string]int{
					"GET /api/v1/namespaces/podtrail-system/pods/podtrail-recorder-1/portforward":  403,
					"POST /api/v1/namespaces/podtrail-system/pods/podtrail-recorder-1/portforward": 403,
				}},
			args: []string{"trail", "pod/web-x7k2p"}, wantCode: 0,
			wantOut: []string{"Ready in 2.00 s", "missing: No permission to reach the recorders", "pods/portforward"},
		},
		"no permission for the events: the trail is printed all the same": {
			api:  api{answers: map[string]string{demoPods: pods}, codes: map[string]int{"GET /api/v1/namespaces/demo/events": 403}},
			args: []string{"trail", "pod/web-x7k2p"}, wantCode: 0, wantOut: []string{"Ready in 2.00 s", "missing: No permission to list events"},
		},
		"a failed Pod ends with 1 and its trail": {
			api:  api{answers: map[string]string{demoPods: list(pod("demo", "bad", badImage))}},
			args: []string{"trail", "pod/bad"}, wantCode: 1, wantOut: []string{"failed at 9 Run: ErrImagePull", "not found"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tc.api)
			defer server.Close()
			code, out, errOut := call(t, append([]string{"--kubeconfig", kubeconfig(t, server.URL)}, tc.args...)...)
			if code != tc.wantCode {
				t.Errorf("exit code %d, want %d\n%s%s", code, tc.wantCode, out, errOut)
			}
			flat := strings.Join(strings.Fields(out), " ")
			for _, want := range tc.wantOut {
				if !strings.Contains(flat, strings.Join(strings.Fields(want), " ")) {
					t.Errorf("output lacks %q:\n%s", want, out)
				}
			}
			for _, want := range tc.wantError {
				if !strings.Contains(errOut, want) {
					t.Errorf("error lacks %q:\n%s", want, errOut)
				}
			}
		})
	}
}

func TestClustersThatCannotBeReached(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	address := closed.URL
	closed.Close()
	config := kubeconfig(t, address)
	cases := map[string]struct {
		args      []string
		wantCode  int
		wantError []string
	}{
		"connection refused": {
			[]string{"--kubeconfig", config, "trail", "pod/x"}, 3,
			[]string{"can't be reached", "connection refused", "next: make cluster-status"},
		},
		"no kubeconfig": {
			[]string{"--kubeconfig", filepath.Join(t.TempDir(), "none"), "trail", "pod/x"}, 3, []string{"next: "},
		},
		"a wrong context lists those that exist": {
			[]string{"--kubeconfig", config, "--context", "othr", "trail", "pod/x"}, 2,
			[]string{`no context "othr"`, "demo, other", "podtrail --context other"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, _, errOut := call(t, tc.args...)
			if code != tc.wantCode {
				t.Errorf("exit code %d, want %d: %s", code, tc.wantCode, errOut)
			}
			for _, want := range tc.wantError {
				if !strings.Contains(errOut, want) {
					t.Errorf("error lacks %q:\n%s", want, errOut)
				}
			}
		})
	}
}

func TestCompletion(t *testing.T) {
	server := httptest.NewServer(api{answers: map[string]string{demoPods: list(pod("demo", "web-1", ready), pod("demo", "api-1", ready))}})
	defer server.Close()
	config := kubeconfig(t, server.URL)
	cases := map[string]struct {
		args []string
		want string
	}{
		"kinds":   {[]string{"__complete", "trail", ""}, "deployment/\nreplicaset/\nteachingreplicaset/\npod/\n:6\n"},
		"names":   {[]string{"__complete", "--kubeconfig", config, "trail", "po/web"}, "po/web-1\n:4\n"},
		"outputs": {[]string{"__complete", "trail", "-o", ""}, "tree\ntable\njson\nyaml\n:4\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := call(t, tc.args...)
			if code != 0 || out != tc.want {
				t.Errorf("exit code %d, offers %q, want %q\n%s", code, out, tc.want, errOut)
			}
		})
	}
}

// TestHelpTellsTheExitCodes as decision 0008 has them: what was printed from the sources that could be read ends with 0.
func TestHelpTellsTheExitCodes(t *testing.T) {
	_, out, _ := call(t, "trail", "--help")
	said := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{
		"0 the trail was printed, with what sources are missing", "1 the same, and the Pod failed", "2 wrong use",
		"3 nothing could be printed: the cluster can't be reached, or what was asked for may be in a source that can't be read",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the help lacks %q:\n%s", want, out)
		}
	}
}

func TestVersionAndPluginName(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	if code, out, _ := call(t, "version"); code != 0 || !strings.HasPrefix(out, "podtrail ") || !strings.Contains(out, "client-go") {
		t.Errorf("exit code %d, says %q", code, out)
	}
	var out bytes.Buffer
	if code := Main("", []string{"/usr/local/bin/kubectl-podtrail", "trail", "--help"}, strings.NewReader(""), &out, &out); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(out.String(), "kubectl podtrail trail KIND/NAME") {
		t.Errorf("as a plugin the usage is %q", out.String())
	}
}

// TestANameAloneIsAPods in the commands that show one stage of a Pod, as in kubectl logs.
func TestANameAloneIsAPods(t *testing.T) {
	const from = "../../../docs/recordings/deployment.jsonl.gz"
	_, shown, _ := call(t, "run", "--from", from)
	name, _, found := strings.Cut(strings.TrimPrefix(shown, "pod/"), " ")
	if !found {
		t.Fatalf("podtrail run names no Pod:\n%s", shown)
	}
	for _, command := range []string{"admission", "etcd", "run"} {
		t.Run(command, func(t *testing.T) {
			code, want, errOut := call(t, command, "pod/"+name, "--from", from)
			if code != 0 || want == "" {
				t.Fatalf("of pod/%s: exit code %d\n%s", name, code, errOut)
			}
			if code, got, errOut := call(t, command, name, "--from", from); code != 0 || got != want {
				t.Errorf("exit code %d\n%s\nwant what it prints of pod/%s:\n%s\n%s", code, got, name, want, errOut)
			}
		})
	}
}
