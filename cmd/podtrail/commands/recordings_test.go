// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
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
			if r.URL.Path == "/v1/records" {
				asked = append(asked, r.URL.RawQuery)
			}
		}, reference)
		if !slices.Equal(asked, []string{want}) {
			t.Errorf("%s: the recorder was asked for %q, want once for %q; said %s", reference, asked, want, errOut)
		}
	}
}

// TestWhyThereAreNoSpans: what the recorder knows of who sends spans is read if the trail lacks some, and tells why.
func TestWhyThereAreNoSpans(t *testing.T) {
	living := api{answers: map[string]string{demoPods: list(pod("demo", "web", ready))}}
	const senders = `[{"source":"span","node":"worker","since":"2026-11-22T11:00:00Z","now":"2026-11-22T12:10:00Z","senders":[` +
		`{"name":"kubelet","spans":9,"first":"2026-11-22T11:00:00Z","last":"2026-11-22T11:50:00Z","connections":0,"disconnected":"2026-11-22T11:50:05Z"}]}]`
	code, out, errOut := callWithRecorder(t, living, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/sources" {
			_, _ = fmt.Fprint(w, senders)
		}
	}, "pod/web")
	said := strings.Join(strings.Fields(strings.ReplaceAll(out, "┃", "")), " ")
	const want = "9 Run not whole: kubelet on worker has had no connection for 19m55s, its last span came at 11:50:00Z podtrail doctor"
	if code != 0 || !strings.Contains(said, want) {
		t.Errorf("exit code %d, lacks %q:\n%s%s", code, want, out, errOut)
	}
}

// TestARecorderOfAnotherVersion: a request that it does not understand is shown as what it is, with the command that mends it.
func TestARecorderOfAnotherVersion(t *testing.T) {
	for name, tc := range map[string]struct{ version, want string }{
		"that says which":         {"v0.0.9", "recorder podtrail-recorder-1 on node cp is v0.0.9 and does not understand this podtrail"},
		"that does not say which": {"", "on node cp is of a version that does not say which it is and does not understand this podtrail"},
	} {
		t.Run(name, func(t *testing.T) {
			living := api{answers: map[string]string{demoPods: list(pod("demo", "web", ready))}}
			_, out, errOut := callWithRecorder(t, living, func(w http.ResponseWriter, _ *http.Request) {
				if tc.version != "" {
					w.Header().Set("Podtrail-Version", tc.version)
				}
				http.Error(w, `parameter "since" is not known: want namespace or source`, http.StatusBadRequest)
			}, "pod/web")
			said := strings.Join(strings.Fields(out), " ")
			for _, want := range []string{tc.want, `parameter "since" is not known`, "next: make deploy"} {
				if !strings.Contains(said, want) {
					t.Errorf("lacks %q:\n%s%s", want, out, errOut)
				}
			}
		})
	}
}

// TestATrailIsPrintedBeforeItIsExported: a collector that does not answer costs the reader of the trail nothing.
func TestATrailIsPrintedBeforeItIsExported(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts in the kernel, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+silent.Addr().String())
	var order printed
	o := &trailOptions{show: newShow(genericiooptions.IOStreams{Out: order.as("out"), ErrOut: order.as("err")})}
	found, ok := trail.Build(nil).Focus(trail.Subject{})
	if ok {
		t.Fatal("a trail of nothing")
	}
	begun := time.Now()
	if err := o.printAndExport(t.Context(), found, collect.Evidence{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("sending was given up after %s, want a few seconds", took)
	}
	if len(order.parts) != 2 || order.parts[0].stream != "out" || !strings.HasPrefix(order.parts[1].text, "not exported: ") {
		t.Errorf("printed %+v, want the trail on out, then on err that it was not exported", order.parts)
	}
}

// printed keeps what goes to several streams, in order.
type printed struct {
	parts []struct{ stream, text string }
}

func (p *printed) as(stream string) io.Writer { return printedTo{p, stream} }

type printedTo struct {
	all    *printed
	stream string
}

func (p printedTo) Write(text []byte) (int, error) {
	p.all.parts = append(p.all.parts, struct{ stream, text string }{p.stream, string(text)})
	return len(text), nil
}
