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
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail/decision"
)

const (
	scheduler  = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"podtrail-scheduler-1","namespace":"podtrail-system"},"spec":{"nodeName":"cp"},"status":{"phase":"Running"}}`
	demoPod    = "GET /api/v1/namespaces/demo/pods/web"
	demoSpace  = "GET /api/v1/namespaces/demo"
	asking     = `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"demo","labels":{"podtrail.dev/decisions":"enabled"}}}`
	notAsking  = `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"demo"}}`
	patchedPod = "PATCH /api/v1/namespaces/demo/pods/web"
)

// webPod is a Pod that podtrail's scheduler is to place.
func webPod(node, scheduler, annotations string) string {
	return fmt.Sprintf(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"demo","uid":"web-uid","annotations":{%s}},`+
		`"spec":{"nodeName":%q,"schedulerName":%q,"containers":[]},"status":{}}`, annotations, node, scheduler)
}

// decisions serves an attempt that ended so.
func decisions(t *testing.T, a decision.Attempt) http.HandlerFunc {
	t.Helper()
	data, err := json.Marshal(decision.Record{
		Pod: decision.Pod{Namespace: "demo", Name: "web", UID: "web-uid"}, Scheduler: podtrailScheduler,
		Time: time.Date(2026, 5, 4, 10, 2, 11, 0, time.UTC), Attempt: &a,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer viewer-token" || r.URL.Query().Get("namespace") != "demo" || r.URL.Query().Get("source") != "decision" {
			http.Error(w, "unexpected request", http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, `{"source":"decision","data":%s}`+"\n", data)
	}
}

// callOnPod runs podtrail schedule or continue on a cluster with one scheduler, which answers as serve does.
func callOnPod(t *testing.T, a api, serve http.HandlerFunc, command string, args ...string) (code int, out, errOut string) {
	t.Helper()
	answers := map[string]string{recorders: list(scheduler), viewers: token, reviews: allowed, demoSpace: asking}
	maps.Copy(answers, a.answers)
	a.answers = answers
	apiServer, schedulerServer := httptest.NewServer(a), httptest.NewTLSServer(serve)
	t.Cleanup(apiServer.Close)
	t.Cleanup(schedulerServer.Close)

	var stdout, stderr bytes.Buffer
	flags := genericclioptions.NewConfigFlags(true)
	path := kubeconfig(t, apiServer.URL)
	flags.KubeConfig = &path
	base := newPodCommand(flags, genericiooptions.IOStreams{Out: &stdout, ErrOut: &stderr}, command)
	base.connect = func() (*collect.Cluster, string, error) {
		cluster, namespace, err := base.connectByFlags()
		if err == nil {
			cluster.Dial = func(ctx context.Context, _, _ string, _ int) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", schedulerServer.Listener.Addr().String())
			}
		}
		return cluster, namespace, err
	}
	cmd := base.continueCommand()
	if command == "schedule" {
		cmd = (&scheduleOptions{podCommand: base, now: time.Now}).command()
	}
	flags.AddFlags(cmd.Flags())
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	code = exitCode(cmd.ExecuteContext(t.Context()), &stderr)
	return code, stdout.String(), stderr.String()
}

func TestScheduleCommand(t *testing.T) {
	placed := decision.Attempt{Number: 1, Outcome: decision.Placed, Node: "worker", BatchHint: "worker", Matrix: decision.Matrix{Nodes: []string{"worker"}}}
	refused := decision.Attempt{Number: 3, Outcome: decision.Unschedulable, Message: "0/1 nodes are available"}
	nothing := func(http.ResponseWriter, *http.Request) {}
	own := map[string]string{demoPod: webPod("worker", podtrailScheduler, "")}
	tests := map[string]struct {
		api      api
		serve    http.HandlerFunc
		args     []string
		wantCode int
		want     []string
	}{
		"a Pod that was placed": {api: api{answers: own}, serve: decisions(t, placed), args: []string{"pod/web"}, want: []string{"web → worker, being bound", "batch hint"}},
		"the name alone":        {api: api{answers: own}, serve: decisions(t, placed), args: []string{"web"}, want: []string{"web → worker"}},
		"a Pod on no node ends with 1": {
			api: api{answers: own}, serve: decisions(t, refused), args: []string{"pod/web"}, wantCode: 1,
			want: []string{"web is on no node after 3 attempts: 0/1 nodes are available"},
		},
		"for programs": {api: api{answers: own}, serve: decisions(t, placed), args: []string{"pod/web", "-o", "json"}, want: []string{`"kind": "Schedule"`, `"outcome": "placed"`}},
		"a Pod that is gone": {
			api: api{codes: map[string]int{demoPod: 404}}, serve: decisions(t, placed), args: []string{"pod/web"}, want: []string{"web → worker"},
		},
		"a Pod that never was": {
			api: api{codes: map[string]int{"GET /api/v1/namespaces/demo/pods/webb": 404}}, serve: decisions(t, placed), args: []string{"pod/webb"}, wantCode: 2,
			want: []string{`no pod "webb" in namespace demo`, "did you mean web?"},
		},
		"a Pod of another scheduler": {
			api: api{answers: map[string]string{demoPod: webPod("worker", "default-scheduler", "")}}, serve: nothing, args: []string{"pod/web"}, wantCode: 2,
			want: []string{"scheduled by default-scheduler, which records nothing", "next: kubectl label namespace demo"},
		},
		"a namespace that does not ask": {
			api: api{answers: map[string]string{demoPod: own[demoPod], demoSpace: notAsking}}, serve: nothing, args: []string{"pod/web"}, wantCode: 2,
			want: []string{"it has no label podtrail.dev/decisions=enabled", "next: kubectl label namespace demo podtrail.dev/decisions=enabled"},
		},
		"a record that had to go": {api: api{answers: own}, serve: nothing, args: []string{"pod/web"}, wantCode: 3, want: []string{"has no record of Pod web", "next: podtrail trail pod/web -n demo"}},
		"no scheduler":            {api: api{answers: map[string]string{demoPod: own[demoPod], recorders: list()}}, serve: nothing, args: []string{"pod/web"}, wantCode: 3, want: []string{"no podtrail-scheduler in this cluster", "next: make deploy"}},
		"a scheduler that refuses": {
			api: api{answers: own}, args: []string{"pod/web"}, wantCode: 3,
			serve: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not you", http.StatusForbidden) },
			want:  []string{"podtrail-scheduler can't be read", "403 Forbidden: not you", "next: kubectl get pods -n podtrail-system"},
		},
		"another kind":      {serve: nothing, args: []string{"deployment/web"}, wantCode: 2, want: []string{"Only Pods are scheduled, not a deployment.", "next: kubectl get pods"}},
		"an unknown output": {serve: nothing, args: []string{"pod/web", "-o", "wide"}, wantCode: 2, want: []string{`no output "wide"; there are matrix, json`, "next: podtrail schedule pod/web"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := callOnPod(t, tc.api, tc.serve, "schedule", tc.args...)
			if code != tc.wantCode {
				t.Errorf("Exit code %d, want %d", code, tc.wantCode)
			}
			for _, want := range tc.want {
				if !strings.Contains(out+errOut, want) {
					t.Errorf("Output lacks %q:\n%s%s", want, out, errOut)
				}
			}
		})
	}
}

func TestContinueCommand(t *testing.T) {
	const held = `"podtrail.dev/hold-at":"permit"`
	tests := map[string]struct {
		api      api
		wantCode int
		want     []string
	}{
		"a Pod that is bound already": {
			api: api{answers: map[string]string{demoPod: webPod("worker", podtrailScheduler, held)}}, wantCode: 2,
			want: []string{"Pod web is not held: it is on node worker.", "next: podtrail schedule pod/web -n demo"},
		},
		"a Pod that nobody holds": {
			api: api{answers: map[string]string{demoPod: webPod("", podtrailScheduler, "")}}, wantCode: 2,
			want: []string{"it has no annotation podtrail.dev/hold-at", "next: podtrail schedule"},
		},
		"no such Pod": {api: api{codes: map[string]int{demoPod: 404}}, wantCode: 2, want: []string{`There is no Pod "web" in namespace demo.`, "next: kubectl get pods -n demo"}},
		"no right to patch it": {
			api:      api{answers: map[string]string{demoPod: webPod("", podtrailScheduler, held)}, codes: map[string]int{patchedPod: 403}},
			wantCode: 3, want: []string{"next: kubectl auth can-i patch pods -n demo"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := callOnPod(t, tc.api, func(http.ResponseWriter, *http.Request) {}, "continue", "pod/web")
			if code != tc.wantCode {
				t.Errorf("Exit code %d, want %d", code, tc.wantCode)
			}
			for _, want := range tc.want {
				if !strings.Contains(out+errOut, want) {
					t.Errorf("Output lacks %q:\n%s%s", want, out, errOut)
				}
			}
		})
	}
}
