// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsyaml "sigs.k8s.io/yaml"

	"podtrail.dev/podtrail/scheduler-plugin/imagezone"
)

const (
	manifests     = "../../config/scheduler"
	systemNS      = "podtrail-system"
	schedulerName = "podtrail-scheduler"
	schedulerUser = "system:serviceaccount:" + systemNS + ":" + schedulerName

	// startTimeout bounds everything up to the scheduler holding its Lease.
	startTimeout = 60 * time.Second
)

func newClient(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(admin, client.Options{})
	if err != nil {
		t.Fatalf("Building a client: %v", err)
	}
	return c
}

// startScheduler runs the deployed configuration as the deployed service
// account, with no right but those of rbac.yaml, until the test ends. It
// returns when the scheduler holds its Lease, and gives its view of the nodes.
//
// It mirrors Run of cmd/kube-scheduler/app, which cannot be used: it ends the
// process when it loses the Lease.
func startScheduler(t *testing.T) corev1listers.NodeLister {
	t.Helper()
	applyRBAC(t)
	ctx, cancel := context.WithCancel(t.Context())
	opts := options.NewOptions()
	parseFlags(t, opts, "misc", "--config="+writeConfig(t))
	parseFlags(t, opts, "secure serving", "--secure-port=0")
	completed, sched, err := app.Setup(ctx, opts, app.WithPlugin(imagezone.Name, imagezone.New))
	if err != nil {
		cancel()
		t.Fatalf("Setting up the scheduler: %v", err)
	}
	completed.EventBroadcaster.StartRecordingToSink(ctx.Done())

	leading := make(chan struct{})
	completed.LeaderElection.Callbacks = leaderelection.LeaderCallbacks{
		OnStartedLeading: func(ctx context.Context) {
			close(leading)
			sched.Run(ctx)
		},
		OnStoppedLeading: func() {},
	}
	elector, err := leaderelection.NewLeaderElector(*completed.LeaderElection)
	if err != nil {
		cancel()
		t.Fatalf("Building the leader elector: %v", err)
	}
	done := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		defer close(done)
		completed.InformerFactory.Start(ctx.Done())
		completed.DynInformerFactory.Start(ctx.Done())
		for resource, synced := range completed.InformerFactory.WaitForCacheSync(ctx.Done()) {
			if !synced {
				failed <- errors.New("the cache never synced: " + resource.String())
				return
			}
		}
		if err := sched.WaitForHandlersSync(ctx); err != nil {
			failed <- err
			return
		}
		elector.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		completed.EventBroadcaster.Shutdown()
	})

	timeout := time.AfterFunc(startTimeout, cancel)
	defer timeout.Stop()
	select {
	case <-leading:
	case err := <-failed:
		t.Fatalf("The scheduler did not start within %s, as %s: %v", startTimeout, schedulerUser, err)
	case <-done:
		t.Fatalf("The scheduler did not get its Lease within %s, as %s", startTimeout, schedulerUser)
	}
	return completed.InformerFactory.Core().V1().Nodes().Lister()
}

func parseFlags(t *testing.T, opts *options.Options, set, flag string) {
	t.Helper()
	if err := opts.Flags.FlagSet(set).Parse([]string{flag}); err != nil {
		t.Fatalf("Parsing %s: %v", flag, err)
	}
}

// writeConfig writes the deployed configuration with one addition: where the
// API server is. In the cluster the service account says that.
func writeConfig(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	content, err := os.ReadFile(filepath.Join(manifests, "scheduler-config.yaml"))
	if err != nil {
		t.Fatalf("Reading the configuration that is deployed: %v", err)
	}
	var configuration map[string]any
	if err := sigsyaml.Unmarshal(content, &configuration); err != nil {
		t.Fatalf("Decoding the configuration that is deployed: %v", err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(kubeconfigAsScheduler(), kubeconfig); err != nil {
		t.Fatalf("Writing the kubeconfig: %v", err)
	}
	configuration["clientConnection"].(map[string]any)["kubeconfig"] = kubeconfig
	if content, err = sigsyaml.Marshal(configuration); err != nil {
		t.Fatalf("Encoding the configuration: %v", err)
	}
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatalf("Writing the configuration: %v", err)
	}
	return path
}

// kubeconfigAsScheduler lets the admin act as the scheduler's service account.
func kubeconfigAsScheduler() clientcmdapi.Config {
	const name = "envtest"
	return clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{name: {Server: admin.Host, CertificateAuthorityData: admin.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			ClientCertificateData: admin.CertData,
			ClientKeyData:         admin.KeyData,
			Impersonate:           schedulerUser,
			ImpersonateGroups:     []string{"system:serviceaccounts", "system:serviceaccounts:" + systemNS, "system:authenticated"},
		}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}
}

// applyRBAC creates the namespace and every object of rbac.yaml.
func applyRBAC(t *testing.T) {
	t.Helper()
	c := newClient(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNS}}
	create(t, c, ns)
	content, err := os.ReadFile(filepath.Join(manifests, "rbac.yaml"))
	if err != nil {
		t.Fatalf("Reading the rights that are deployed: %v", err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("Decoding the rights that are deployed: %v", err)
		}
		create(t, c, object)
	}
}

// create makes an object; it may be there from a test before.
func create(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), object); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("Creating %T %s: %v", object, object.GetName(), err)
	}
}
