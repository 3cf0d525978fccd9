// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
)

// refusal is an audit event of a Pod that a webhook refused.
const refusal = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a-1","stage":"ResponseComplete",` +
	`"requestURI":"/api/v1/namespaces/demo/pods","verb":"create","user":{"username":"jo"},"userAgent":"kubectl/v1.36.3",` +
	`"objectRef":{"resource":"pods","namespace":"demo","name":"no-limit","apiVersion":"v1"},` +
	`"responseStatus":{"code":403,"reason":"Forbidden","message":"admission webhook \"v.example.com\" denied the request: no CPU limit"},` +
	`"requestReceivedTimestamp":"2026-11-22T12:00:00.000000Z","stageTimestamp":"2026-11-22T12:00:00.014000Z",` +
	`"annotations":{"authorization.k8s.io/decision":"allow"}}`

// callWithRecorder runs podtrail trail on a cluster with one recorder, which answers as serve does.
func callWithRecorder(t *testing.T, a api, serve http.HandlerFunc, args ...string) (code int, out, errOut string) {
	t.Helper()
	answers := map[string]string{recorders: list(recorder), viewers: token, reviews: allowed}
	maps.Copy(answers, a.answers)
	a.answers = answers
	apiServer := httptest.NewServer(a)
	t.Cleanup(apiServer.Close)
	recorderServer := httptest.NewTLSServer(serve)
	t.Cleanup(recorderServer.Close)

	var stdout, stderr bytes.Buffer
	flags := genericclioptions.NewConfigFlags(true)
	path := kubeconfig(t, apiServer.URL)
	flags.KubeConfig = &path
	o := &trailOptions{show: newShow(genericiooptions.IOStreams{Out: &stdout, ErrOut: &stderr}), flags: flags}
	o.connect = func() (*collect.Cluster, string, error) {
		cluster, namespace, err := o.connectByFlags()
		if err == nil {
			cluster.Dial = func(ctx context.Context, _, _ string, _ int) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", recorderServer.Listener.Addr().String())
			}
		}
		return cluster, namespace, err
	}
	cmd := o.command()
	flags.AddFlags(cmd.Flags())
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	code = exitCode(cmd.ExecuteContext(t.Context()), &stderr)
	return code, stdout.String(), stderr.String()
}

func TestARefusedPodIsFoundInTheRecordings(t *testing.T) {
	record, err := json.Marshal(map[string]any{"source": "audit", "node": "cp", "data": json.RawMessage(refusal)})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		serve    http.HandlerFunc
		wantCode int
		want     []string
	}{
		"found": {
			serve: func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer viewer-token" || r.URL.Query().Get("namespace") != "demo" {
					http.Error(w, "unexpected request", http.StatusBadRequest)
					return
				}
				_, _ = fmt.Fprintf(w, "%s\n", record)
			},
			wantCode: 1,
			want:     []string{"pod/no-limit refused at 5 Validate after 14 ms", "no CPU limit", "nothing was stored; no Pod exists"},
		},
		"garbage between the records is told, and the rest counts": {
			serve:    func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, "{\n%s\n", record) },
			wantCode: 1,
			want:     []string{"refused at 5 Validate", "missing: 1 of 1 recorders can't be read: recorder podtrail-recorder-1 on node cp served 1 records that this podtrail can't read"},
		},
		"a recorder that refuses": {
			serve:    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not you", http.StatusForbidden) },
			wantCode: 3,
			want:     []string{`no pod "no-limit"`, "not everything could be read: 1 of 1 recorders can't be read", "answered 403 Forbidden: not you"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := callWithRecorder(t, api{}, tc.serve, "pod/no-limit")
			if code != tc.wantCode {
				t.Errorf("exit code %d, want %d", code, tc.wantCode)
			}
			said := strings.Join(strings.Fields(out+errOut), " ")
			for _, want := range tc.want {
				if !strings.Contains(said, want) {
					t.Errorf("lacks %q:\n%s%s", want, out, errOut)
				}
			}
		})
	}
}

// TestRecordsOfWhatIsAskedForAreRead: of a living object only what can belong to it is read, of any other all.
func TestRecordsOfWhatIsAskedForAreRead(t *testing.T) {
	const deployments = "GET /apis/apps/v1/namespaces/demo/deployments"
	living := api{answers: map[string]string{
		demoPods:    list(pod("demo", "web", ready)),
		deployments: `{"kind":"DeploymentList","apiVersion":"apps/v1","metadata":{},"items":[{"metadata":{"name":"web","uid":"d","creationTimestamp":"2026-11-22T12:00:00Z"}}]}`,
	}}
	for reference, want := range map[string]string{
		"deployment/web": "namespace=demo&since=2026-11-22T11%3A58%3A00Z", // two minutes before its creation
		"pod/web":        "namespace=demo&pod=web",
		"pod/gone":       "namespace=demo",
	} {
		var asked []string
		_, _, errOut := callWithRecorder(t, living, func(_ http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.RawQuery)
		}, reference)
		if !slices.Equal(asked, []string{want}) {
			t.Errorf("%s: the recorder was asked for %q, want once for %q; said %s", reference, asked, want, errOut)
		}
	}
}
