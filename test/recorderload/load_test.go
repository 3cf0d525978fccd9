// SPDX-License-Identifier: Apache-2.0

// Package recorderload measures the recorder under a load that no laptop's kubelets could make: make bench-recorder.
package recorderload

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"podtrail.dev/podtrail/trail/source"
)

const (
	// writers are the clients that write at once.
	writers = 20
	// settle bounds how long the recorder may take to catch up after the last write. An API server that found nobody
	// at its tracing endpoint asks again after two minutes only: gRPC's longest backoff.
	settle = 3 * time.Minute
	// otlpAddress and serveAddress are the recorder's ports while it is measured.
	otlpAddress  = "127.0.0.1:24317"
	serveAddress = "127.0.0.1:24318"
	namespace    = "load"
)

// TestLoad makes, binds and updates PODS Pods (5,000) in a namespace that opted in, and wants the recorder, with the
// buffer that it has by default, to drop nothing. It prints what that cost the recorder.
func TestLoad(t *testing.T) {
	pods := 5000
	if given := os.Getenv("PODS"); given != "" {
		var err error
		if pods, err = strconv.Atoi(given); err != nil || pods < 1 {
			t.Fatalf("PODS is %q, want a number above 0", given)
		}
	}
	dir := t.TempDir()
	config, etcd := startControlPlane(t, dir)
	config.QPS = -1
	clientset, err := kubernetes.NewForConfig(config)
	must(t, err)
	token := prepare(t, clientset)
	recorder := startRecorder(t, dir, config, etcd)

	warmUp(t, clientset, token)

	begun := time.Now()
	writeAll(t, clientset, pods)
	took := time.Since(begun)
	statuses := waitFor(t, token, 3*pods)

	cpu, rss, program := usage(t, recorder.Process.Pid)
	t.Logf("%d Pods, each created, bound and updated, in %v: %.0f Pods per second", pods, took.Round(time.Second), float64(pods)/took.Seconds())
	t.Logf("recorder: %.1f s of CPU, %.1f ms for each Pod; at most %.1f MB of memory, of which %.1f MB are pages of the program",
		cpu.Seconds(), 1000*cpu.Seconds()/float64(pods), float64(rss)/1e6, float64(program)/1e6)
	for _, s := range statuses {
		t.Logf("source %s: %d records in %.1f MB, %d dropped, %d filtered, %d malformed", s.Source, s.Kept, float64(s.KeptBytes)/1e6, s.Dropped, s.Filtered, s.Malformed)
		if s.Dropped != 0 || s.Malformed != 0 || s.LastError != "" {
			t.Errorf("source %s: %+v, want nothing dropped or malformed and no error", s.Source, s)
		}
	}
	if rss > 100e6 {
		t.Errorf("the recorder took %d bytes of memory, want at most 100 MB", rss)
	}
}

// startControlPlane starts an API server that writes an audit log with bodies and traces every request.
func startControlPlane(t *testing.T, dir string) (*rest.Config, string) {
	t.Helper()
	policy, tracing := filepath.Join(dir, "policy.json"), filepath.Join(dir, "tracing.json")
	must(t, os.WriteFile(policy, []byte(`{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitManagedFields":true,"omitStages":["RequestReceived"],`+
		`"rules":[{"level":"None","verbs":["get","list","watch"]},{"level":"RequestResponse","namespaces":["`+namespace+`"]},{"level":"None"}]}`), 0o600))
	must(t, os.WriteFile(tracing, []byte(`{"apiVersion":"apiserver.config.k8s.io/v1","kind":"TracingConfiguration","endpoint":"`+otlpAddress+`","samplingRatePerMillion":1000000}`), 0o600))
	environment := &envtest.Environment{ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	environment.ControlPlane.GetAPIServer().Configure().
		Set("audit-policy-file", policy).Set("audit-log-path", filepath.Join(dir, "audit.log")).Set("audit-log-maxsize", "64").
		Set("tracing-config-file", tracing)
	config, err := environment.Start()
	must(t, err)
	t.Cleanup(func() { must(t, environment.Stop()) })
	return config, environment.ControlPlane.Etcd.URL.String()
}

// prepare makes the namespace, and a reader whose token it returns.
func prepare(t *testing.T, clientset kubernetes.Interface) string {
	t.Helper()
	ctx := t.Context()
	_, err := clientset.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{"podtrail.dev/recording": "enabled"},
	}}, metav1.CreateOptions{})
	must(t, err)
	_, err = clientset.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "reader"}}, metav1.CreateOptions{})
	must(t, err)
	_, err = clientset.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/v1/*"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = clientset.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "reader", Namespace: namespace}},
	}, metav1.CreateOptions{})
	must(t, err)
	request, err := clientset.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "reader", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	return request.Status.Token
}

// startRecorder builds the recorder and runs it as on a control plane, with the limits of its DaemonSet.
func startRecorder(t *testing.T, dir string, config *rest.Config, etcd string) *exec.Cmd {
	t.Helper()
	program, kubeconfig := filepath.Join(dir, "recorder"), filepath.Join(dir, "kubeconfig")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "../../cmd/recorder")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the recorder: %v\n%s", err, said)
	}
	must(t, os.WriteFile(kubeconfig, kubeconfigOf(t, config), 0o600))
	var said bytes.Buffer
	run := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--kubeconfig="+kubeconfig, "--node-name=control-plane",
		"--audit-log="+filepath.Join(dir, "audit.log"), "--etcd-endpoint="+etcd, "--otlp-bind-address="+otlpAddress,
		"--metrics-bind-address="+serveAddress, "--health-probe-bind-address=0")
	run.Env = append(os.Environ(), "GOMEMLIMIT=50MiB", "GOGC=50")
	run.Stdout, run.Stderr = &said, &said
	must(t, run.Start())
	t.Cleanup(func() {
		must(t, run.Process.Signal(os.Interrupt))
		if err := run.Wait(); err != nil {
			t.Errorf("the recorder ended with %v:\n%s", err, said.String())
		}
	})
	return run
}

// kubeconfigOf writes a client configuration as a file.
func kubeconfigOf(t *testing.T, config *rest.Config) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": []any{map[string]any{"name": "x", "cluster": map[string]any{"server": config.Host, "certificate-authority-data": config.CAData}}},
		"users":    []any{map[string]any{"name": "x", "user": map[string]any{"client-certificate-data": config.CertData, "client-key-data": config.KeyData}}},
		"contexts": []any{map[string]any{"name": "x", "context": map[string]any{"cluster": "x", "user": "x"}}},
	})
	must(t, err)
	return raw
}

// writeAll makes the Pods, binds each and updates its status once, as a scheduler and a kubelet would.
func writeAll(t *testing.T, clientset kubernetes.Interface, pods int) {
	t.Helper()
	numbers := make(chan int)
	failed := make(chan error, writers)
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for n := range numbers {
				if err := writeOne(t.Context(), clientset, n); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	go func() {
		defer close(numbers)
		for n := range pods {
			select {
			case numbers <- n:
			case <-t.Context().Done():
				return
			}
		}
	}()
	wait.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
}

func writeOne(ctx context.Context, clientset kubernetes.Interface, n int) error {
	api := clientset.CoreV1().Pods(namespace)
	pod, err := api.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: strings.ReplaceAll(fmt.Sprintf("pod-%d", n), "--", "-warm-up-"), Labels: map[string]string{"app": "load"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "registry.example/app:v1", Env: []corev1.EnvVar{{Name: "A", Value: "hidden"}},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating Pod %d: %w", n, err)
	}
	if err := api.Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "worker"},
	}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("binding Pod %d: %w", n, err)
	}
	status := fmt.Appendf(nil, `{"status":{"phase":"Running","podIP":"10.0.%d.%d","conditions":[{"type":"Ready","status":"True"}]}}`, max(n, 0)/250, max(n, 0)%250+1)
	if _, err := api.Patch(ctx, pod.Name, "application/strategic-merge-patch+json", status, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("updating Pod %d: %w", n, err)
	}
	return nil
}

// warmUp writes until each source has seen something, so that the load begins when all are being followed.
func warmUp(t *testing.T, clientset kubernetes.Interface, token string) {
	t.Helper()
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		for n := -1; ; n-- {
			if err := writeOne(t.Context(), clientset, n); err != nil {
				ended <- err
				return
			}
			select {
			case <-stop:
				ended <- nil
				return
			case <-time.After(time.Second):
			}
		}
	}()
	waitFor(t, token, 3)
	close(stop)
	must(t, <-ended)
}

// waitFor asks the recorder until each source has kept so many records, and returns the statuses.
func waitFor(t *testing.T, token string, want int) []source.Status {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(settle); ; time.Sleep(time.Second) {
		statuses, err := ask(t.Context(), client, token)
		missing := ""
		for _, s := range statuses {
			if s.Kept < want && s.Source != source.Lease { // there are no nodes
				missing += fmt.Sprintf(" %s has %d of %d records;", s.Source, s.Kept, want)
			}
		}
		if err == nil && missing == "" {
			return statuses
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v after the last write:%s error %v; statuses %+v", settle, missing, err, statuses)
		}
	}
}

func ask(ctx context.Context, client *http.Client, token string) ([]source.Status, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+serveAddress+"/v1/sources", http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status + ": " + string(body))
	}
	var statuses []source.Status
	return statuses, json.Unmarshal(body, &statuses)
}

// usage is what a process has used: its time on a processor, the most memory that it held at once, and how much of what it
// holds now are pages of its program; in bytes.
func usage(t *testing.T, pid int) (cpu time.Duration, peak, program int64) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:])) // the third field on, see proc(5)
	for _, field := range fields[11:13] {                                     // utime and stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		must(t, err)
		cpu += time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 on every Linux that Go runs on
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	sizes := map[string]int64{}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); strings.HasSuffix(value, " kB\n") {
			kilobytes, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			must(t, err)
			sizes[name] = kilobytes << 10
		}
	}
	return cpu, sizes["VmHWM"], sizes["RssFile"]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
