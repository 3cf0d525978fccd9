// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func noEnv(string) string { return "" }

func call(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w.Code, w.Body.String()
}

func TestAppHealth(t *testing.T) {
	type health struct{ Live, Ready int }
	cases := map[string]struct {
		unreadyFor time.Duration
		posts      []string
		later      time.Duration
		want       health
	}{
		"healthy from the start":                {want: health{200, 200}},
		"unready at first":                      {unreadyFor: 3 * time.Second, want: health{200, 503}},
		"ready after --unready-seconds":         {unreadyFor: 3 * time.Second, later: 3 * time.Second, want: health{200, 200}},
		"readiness fails on demand":             {posts: []string{"/fail/ready"}, want: health{200, 503}},
		"liveness fails on demand":              {posts: []string{"/fail/live"}, want: health{500, 200}},
		"both recover":                          {posts: []string{"/fail/live", "/fail/ready", "/recover"}, want: health{200, 200}},
		"recovery does not shorten the waiting": {unreadyFor: time.Minute, posts: []string{"/recover"}, want: health{200, 503}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(0, 0)
			h := newApp(appOptions{unreadyFor: tc.unreadyFor}, func() time.Time { return now })
			for _, path := range tc.posts {
				if code, body := call(t, h, http.MethodPost, path); code != http.StatusOK {
					t.Fatalf("POST %s answered %d %s", path, code, body)
				}
			}
			now = now.Add(tc.later)
			var got health
			got.Live, _ = call(t, h, http.MethodGet, "/healthz/live")
			got.Ready, _ = call(t, h, http.MethodGet, "/healthz/ready")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("health (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppGreetsWithPodAndNode(t *testing.T) {
	h := newApp(appOptions{pod: "web-1", node: "worker"}, time.Now)
	if _, body := call(t, h, http.MethodGet, "/"); body != "Hello from Pod web-1 on node worker\n" {
		t.Errorf("greeting is %q", body)
	}
	if code, _ := call(t, h, http.MethodGet, "/other"); code != http.StatusNotFound {
		t.Errorf("an unknown path answered %d, want 404", code)
	}
	if code, _ := call(t, h, http.MethodGet, "/fail/live"); code == http.StatusOK {
		t.Error("a GET made the liveness fail; only POST may")
	}
}

func TestProxyForwardsAndCounts(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "host "+r.Host+" for "+r.Header.Get("X-Forwarded-For"))
	}))
	defer upstream.Close()
	h := newProxy(strings.TrimPrefix(upstream.URL, "http://"))

	if code, body := call(t, h, http.MethodGet, "/"); code != 200 || body != "host example.com for 192.0.2.1" {
		t.Errorf("forwarded answer is %d %q", code, body)
	}
	var wait sync.WaitGroup
	for range 9 {
		wait.Go(func() { call(t, h, http.MethodGet, "/") })
	}
	wait.Wait()
	call(t, h, http.MethodGet, "/missing")
	if code, _ := call(t, h, http.MethodGet, "/podtrail/healthz"); code != 200 {
		t.Errorf("health answered %d", code)
	}
	upstream.Close()
	if code, body := call(t, h, http.MethodGet, "/"); code != http.StatusBadGateway || !strings.Contains(body, "did not answer") {
		t.Errorf("with the app gone: %d %q", code, body)
	}
	if code, _ := call(t, h, http.MethodGet, "/podtrail/healthz"); code != 200 {
		t.Errorf("with the app gone the proxy's own health answered %d: the app's health is not its business", code)
	}

	_, body := call(t, h, http.MethodGet, "/podtrail/stats")
	var got stats
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := stats{Target: strings.TrimPrefix(upstream.URL, "http://"), Requests: map[string]int{"200": 10, "404": 1, "502": 1}, Total: 12}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// TestProxyTellsClientsThatLeftFromAppsThatFailed: a client that gives up is no 502.
func TestProxyTellsClientsThatLeftFromAppsThatFailed(t *testing.T) {
	asked := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer upstream.Close()
	h := newProxy(strings.TrimPrefix(upstream.URL, "http://"))
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-asked
		leave()
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	_, body := call(t, h, http.MethodGet, "/podtrail/stats")
	if !strings.Contains(body, `"requests":{"499":1},"total":1`) {
		t.Errorf("stats are %s, want one request of a client that left", body)
	}
}

func TestOptions(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	cases := map[string]struct {
		args    []string
		env     func(string) string
		want    appOptions
		wantErr string
	}{
		"nothing given":               {env: noEnv, want: appOptions{listen: ":8080", exitCode: -1}},
		"from the environment":        {env: env("UNREADY_SECONDS", "4", "EXIT_CODE", "3", "POD_NAME", "p", "NODE_NAME", "n"), want: appOptions{listen: ":8080", unreadyFor: 4 * time.Second, exitCode: 3, pod: "p", node: "n"}},
		"a flag beats the variable":   {args: []string{"--exit-code=0"}, env: env("EXIT_CODE", "3"), want: appOptions{listen: ":8080"}},
		"a variable with no number":   {env: env("EXIT_CODE", "x"), wantErr: `EXIT_CODE is "x": set a whole number`},
		"a negative time":             {args: []string{"--unready-seconds=-1"}, env: noEnv, wantErr: "--unready-seconds is -1: set 0 or more"},
		"an exit code that is none":   {args: []string{"--exit-code=256"}, env: noEnv, wantErr: "--exit-code is 256: set 0 to 255"},
		"an argument that is no flag": {args: []string{"prox"}, env: noEnv, wantErr: `unknown argument "prox"`},
		"a flag that does not exist":  {args: []string{"--port=1"}, env: noEnv, wantErr: "not defined"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseAppOptions(tc.args, tc.env, io.Discard)
			if tc.wantErr != "" {
				if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("error is %v, want one about wrong use with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(appOptions{})); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunRefusesAndExits(t *testing.T) {
	if err := run(t.Context(), []string{"proxy", "--target=8080"}, noEnv, io.Discard); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), `--target is "8080": set host:port`) {
		t.Errorf("a target without a host: %v", err)
	}
	var exit exitError
	if err := run(t.Context(), []string{"--exit-code=7"}, noEnv, io.Discard); !errors.As(err, &exit) || exit.code != 7 {
		t.Errorf("with --exit-code=7: %v", err)
	}
	if err := run(t.Context(), []string{"--listen=nonsense"}, noEnv, io.Discard); err == nil || !strings.Contains(err.Error(), "listening on nonsense") {
		t.Errorf("an address that is none: %v", err)
	}
}

// TestItSaysItsVersion sets the variable as the linker does for the image.
func TestItSaysItsVersion(t *testing.T) {
	defer func(was string) { version = was }(version)
	version = "v9.9.9"
	for name, args := range map[string][]string{
		"the app":   {"--listen=nonsense"},
		"the proxy": {"proxy", "--target=127.0.0.1:8080", "--listen=nonsense"},
	} {
		var out strings.Builder
		if err := run(t.Context(), args, noEnv, &out); err == nil || out.String() != "sampleapp v9.9.9\n" {
			t.Errorf("%s said %q and ended with %v", name, out.String(), err)
		}
	}
}

// TestStopLetsRequestsFinish: after SIGTERM (here: the end of the context) a
// request in flight is answered, then serve returns without an error.
func TestStopLetsRequestsFinish(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	inFlight, finish := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inFlight)
		<-finish
		_, _ = io.WriteString(w, "finished")
	})
	out, written := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- serve(ctx, "127.0.0.1:0", slow, written) }()
	line := make([]byte, 100)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	address := strings.Fields(string(line[:n]))[2]

	answered := make(chan string, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
		if err != nil {
			answered <- err.Error()
			return
		}
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		answered <- string(body)
	}()
	<-inFlight
	stop()
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			break
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("new connections are still taken 10 s after the stop")
		}
	}
	close(finish)
	if got := <-answered; got != "finished" {
		t.Errorf("the request in flight got %q", got)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Errorf("serve returned %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("serve did not return within 10 s of the stop")
	}
}
