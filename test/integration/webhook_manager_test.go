// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/wrappers"
)

// TestManager runs cmd/manager as it is deployed: with the rights of config/rbac
// and nothing else.
func TestManager(t *testing.T) {
	webhookPort, metricsPort, healthPort := freePort(t), freePort(t), freePort(t)
	installWebhooks(t, webhookPort)
	manager, stderr := startManager(t,
		fmt.Sprintf("--webhook-port=%d", webhookPort),
		fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", metricsPort),
		fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", healthPort))

	await(t, "the manager is ready", func(ctx context.Context) error {
		code, body, err := httpGet(ctx, fmt.Sprintf("http://127.0.0.1:%d/readyz", healthPort), "")
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("/readyz answered %d %s: %w", code, body, err)
		}
		return nil
	})
	expectMetricsGuarded(t, fmt.Sprintf("https://127.0.0.1:%d/metrics", metricsPort))

	trs := wrappers.MakeTeachingReplicaSet(demoNamespace(t), "web").Obj()
	made := restricted(&corev1.Pod{Spec: trs.Spec.Template.Spec})
	made.Spec.Containers[0].Resources = cpuLimit("100m")
	trs.Spec.Template.Spec = made.Spec
	create(t.Context(), t, trs)
	if pods := awaitPods(t, trs, 1); pods[0].Spec.SchedulerName != "podtrail-scheduler" {
		t.Errorf("the controller's Pod has scheduler %q", pods[0].Spec.SchedulerName)
	}

	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "podtrail-manager"}}
	get(t.Context(), t, lease)
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		t.Error("nobody holds the lease")
	}
	if err := manager.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := manager.Wait(); err != nil {
		t.Errorf("after SIGTERM the manager ended with: %v", err)
	}
	get(t.Context(), t, lease)
	if lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" {
		t.Errorf("the lease was not released: %q holds it", *lease.Spec.HolderIdentity)
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "forbidden") {
			t.Errorf("a right is missing: %s", line)
		}
	}
}

// TestManagersRightsAreInOnePlace: whoever reads the roles of config/rbac sees all that the manager may do.
func TestManagersRightsAreInOnePlace(t *testing.T) {
	roles, bound := map[string]bool{}, []string{}
	for _, obj := range readManifests(t, "rbac/*.yaml") {
		switch obj.GetKind() {
		case "Role", "ClusterRole":
			roles[obj.GetKind()+" "+obj.GetName()] = true
		case "RoleBinding", "ClusterRoleBinding":
			// Both have the same fields.
			var binding rbacv1.ClusterRoleBinding
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &binding); err != nil {
				t.Fatalf("Reading %s %s: %v", obj.GetKind(), obj.GetName(), err)
			}
			for _, subject := range binding.Subjects {
				if subject.Name == "podtrail-manager" {
					bound = append(bound, binding.RoleRef.Kind+" "+binding.RoleRef.Name)
				}
			}
		}
	}
	if len(bound) == 0 {
		t.Error("the manager is bound to no role")
	}
	for _, role := range bound {
		if !roles[role] {
			t.Errorf("the manager is bound to %s, whose rules are not in config/rbac", role)
		}
	}
}

// startManager builds and runs the command under the manager's service account.
func startManager(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "manager")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, "../../cmd/manager").CombinedOutput(); err != nil {
		t.Fatalf("Building cmd/manager: %v\n%s", err, out)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	config := clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"test": {Server: restConfig.Host, CertificateAuthorityData: restConfig.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"test": {
			ClientCertificateData: restConfig.CertData, ClientKeyData: restConfig.KeyData,
			Impersonate: "system:serviceaccount:" + systemNamespace + ":podtrail-manager",
		}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}
	if err := clientcmd.WriteToFile(config, kubeconfig); err != nil {
		t.Fatalf("Writing the kubeconfig: %v", err)
	}
	stderr := &bytes.Buffer{}
	manager := exec.CommandContext(t.Context(), binary, append(args, "--sidecar-image=registry.example/proxy:1")...)
	manager.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	manager.Stderr, manager.Stdout = stderr, stderr
	manager.WaitDelay = time.Minute
	if err := manager.Start(); err != nil {
		t.Fatalf("Starting the manager: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("The manager said:\n%s", stderr)
		}
	})
	return manager, stderr
}

// expectMetricsGuarded: nobody without a token, nobody without the right.
func expectMetricsGuarded(t *testing.T, url string) {
	t.Helper()
	nobody := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: newNamespace(t), Name: "nobody"}}
	create(t.Context(), t, nobody)
	viewer := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "podtrail-viewer"}}
	cases := map[string]struct {
		token string
		want  int
	}{
		"no token":        {"", http.StatusUnauthorized},
		"a made-up token": {"abc", http.StatusUnauthorized},
		"without a right": {tokenOf(t, nobody), http.StatusForbidden},
		"podtrail-viewer": {tokenOf(t, viewer), http.StatusOK},
	}
	for name, tc := range cases {
		code, body, err := httpGet(t.Context(), url, tc.token)
		if err != nil || code != tc.want {
			t.Errorf("metrics with %s answered %d (%v), want %d: %.200s", name, code, err, tc.want, body)
		}
	}
}

func tokenOf(t *testing.T, account client.Object) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	if err := k8sClient.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatalf("Asking for a token of %s: %v", account.GetName(), err)
	}
	return request.Status.Token
}

func httpGet(ctx context.Context, url, token string) (code int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// The metrics' certificate is self-signed; who answers on this port is known.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(content), err
}
