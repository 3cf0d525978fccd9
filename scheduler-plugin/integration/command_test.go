// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"podtrail.dev/podtrail/scheduler-plugin/decisions"
	"podtrail.dev/podtrail/trail/source"
)

const (
	viewer = "podtrail-viewer"
	// buildTimeout is for linking the scheduler on a busy machine.
	buildTimeout = 8 * time.Minute
	// recordsPath is where decisions are served.
	recordsPath = "/v1/records?source=decision"
)

// TestCommandServesDecisions runs the binary itself, twice: one leads and records, the other stands by and serves that
// it has nothing. Both ask the API server who calls.
func TestCommandServesDecisions(t *testing.T) {
	c := newClient(t)
	applyRBAC(t)
	applyFile(t, c, "../../config/rbac/viewer.yaml")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "command-", Labels: map[string]string{decisions.NamespaceLabelKey: decisions.NamespaceLabelValue},
	}}
	create(t, c, ns)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "for-the-command"}}
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourcePods: resource.MustParse("9"),
	}
	createNode(t, c, node)

	binary := buildScheduler(t)
	leader := startCommand(t, binary)
	pod := podIn(ns.Name, "served")
	createPod(t, c, pod)
	token := tokenOf(t, viewer)
	var records []source.Record
	err := wait.PollUntilContextTimeout(t.Context(), 10*pollEvery, startTimeout, true, func(context.Context) (bool, error) {
		records = leader.records(t, token)
		return len(records) >= 2, nil // an attempt and a binding
	})
	if err != nil {
		t.Fatalf("Waiting %s for the records of a Pod: %v; got %d; the scheduler wrote:\n%s", startTimeout, err, len(records), leader.written())
	}
	if d, err := source.DecodeDecision(records[0]); err != nil || d.Pod.UID != string(pod.UID) || d.Attempt == nil || d.Attempt.Node != node.Name {
		t.Errorf("First record %+v, %v; want the attempt that placed the Pod on %s", d, err, node.Name)
	}

	standby := startCommand(t, binary)
	var answer string
	err = wait.PollUntilContextTimeout(t.Context(), 10*pollEvery, startTimeout, true, func(context.Context) (bool, error) {
		var code int
		code, answer = standby.get(t, "/v1/sources", token)
		return code == http.StatusOK, nil
	})
	if err != nil || !strings.Contains(answer, `"kept":0`) {
		t.Errorf("The scheduler that does not lead says %q, %v; want that it keeps nothing", answer, err)
	}
	for name, token := range map[string]string{"no token": "", "a made-up token": "x.y.z"} {
		if code, _ := leader.get(t, recordsPath, token); code != http.StatusUnauthorized {
			t.Errorf("With %s the answer is %d, want 401", name, code)
		}
	}
	if code, answer := leader.get(t, recordsPath, tokenOf(t, schedulerName)); code != http.StatusForbidden {
		t.Errorf("With the token of an account that may not read the answer is %d %s, want 403", code, answer)
	}
}

func buildScheduler(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	path := filepath.Join(t.TempDir(), "scheduler")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", path, "../cmd/scheduler")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("Building the scheduler: %v\n%s", err, out)
	}
	return path
}

// command is a running scheduler.
type command struct {
	address string
	output  *os.File
}

// startCommand starts the binary as the deployed service account until the test ends.
func startCommand(t *testing.T, binary string) command {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Finding a free port: %v", err)
	}
	s := command{address: listener.Addr().String()}
	if err := listener.Close(); err != nil {
		t.Fatalf("Giving the port back: %v", err)
	}
	if s.output, err = os.Create(filepath.Join(t.TempDir(), "output")); err != nil {
		t.Fatalf("Making a file for the output: %v", err)
	}
	cmd := exec.Command(binary, "--config="+writeConfig(t, deployedConfig(t), kubeconfigAsScheduler()), "--secure-port=0",
		"--decisions-bind-address="+s.address)
	cmd.Stdout, cmd.Stderr = s.output, s.output
	if err := cmd.Start(); err != nil {
		t.Fatalf("Starting the scheduler: %v", err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("Ending the scheduler: %v; it wrote:\n%s", err, s.written())
		}
		_ = cmd.Wait() // by SIGTERM it ends with 0 or 1, as it leads or not
	})
	return s
}

func (s command) written() string {
	content, err := os.ReadFile(s.output.Name())
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// get returns the status code, 0 as long as nobody listens, and the answer.
func (s command) get(t *testing.T, path, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.address+path, http.NoBody)
	if err != nil {
		t.Fatalf("Making a request: %v", err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{
		Timeout: bindTimeout,
		// The certificate is made at start and signed by nobody, see telemetry/serve.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // as above
	}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }() // only read from
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("Reading the answer: %v", err)
	}
	return response.StatusCode, string(body)
}

func (s command) records(t *testing.T, token string) []source.Record {
	t.Helper()
	code, answer := s.get(t, recordsPath, token)
	if code != http.StatusOK {
		return nil
	}
	var out []source.Record
	for lines := bufio.NewScanner(bytes.NewBufferString(answer)); lines.Scan(); {
		var record source.Record
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			t.Fatalf("Decoding a record: %v", err)
		}
		out = append(out, record)
	}
	return out
}

// tokenOf gets a token of a service account of podtrail-system.
func tokenOf(t *testing.T, account string) string {
	t.Helper()
	clientset, err := kubernetes.NewForConfig(admin)
	if err != nil {
		t.Fatalf("Building a client: %v", err)
	}
	answer, err := clientset.CoreV1().ServiceAccounts(systemNS).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("Getting a token of %s: %v", account, err)
	}
	return answer.Status.Token
}
