// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
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
	"k8s.io/kubernetes/cmd/kube-scheduler/app/config"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsyaml "sigs.k8s.io/yaml"

	"podtrail.dev/podtrail/scheduler-plugin/decisions"
	"podtrail.dev/podtrail/scheduler-plugin/decisions/observe"
	"podtrail.dev/podtrail/scheduler-plugin/imagezone"
)

const (
	manifests     = "../../config/scheduler"
	systemNS      = "podtrail-system"
	schedulerName = "podtrail-scheduler"
	schedulerUser = "system:serviceaccount:" + systemNS + ":" + schedulerName

	// startTimeout bounds the start of the API server, and everything up to the scheduler holding its Lease.
	startTimeout = 2 * time.Minute
	// recorderBytes bounds what the recorder holds.
	recorderBytes = 4 << 20
)

func newClient(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(admin, client.Options{})
	if err != nil {
		t.Fatalf("Building a client: %v", err)
	}
	return c
}

// schedulerGroups are those of a service account.
var schedulerGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + systemNS, "system:authenticated"}

// instance is a running scheduler.
type instance struct {
	// nodes is what it has seen of the nodes.
	nodes corev1listers.NodeLister
	// stop ends it and returns when it has ended. It may be called again.
	stop func()
}

// startScheduler runs the deployed configuration as the deployed service account, with no right but those of rbac.yaml,
// until the test ends. It returns when the scheduler holds its Lease, and gives its view of the nodes.
func startScheduler(t *testing.T) corev1listers.NodeLister {
	t.Helper()
	applyRBAC(t)
	s := setUp(t, writeConfig(t, deployedConfig(t), kubeconfigAsScheduler()), ours)
	recorder = observe.NewRecorder(recorderBytes, nil)
	if err := recorder.Attach(s.ctx, s.scheduler, s.config.ComponentConfig.Profiles, outOfTree); err != nil {
		t.Fatalf("Attaching the recorder: %v", err)
	}
	go recorder.Run(s.ctx)
	return run(t, s).nodes
}

// recorder observes the scheduler that startScheduler started last.
var recorder *observe.Recorder

var outOfTree = frameworkruntime.Registry{imagezone.Name: imagezone.New, decisions.Name: decisions.New}

// ours registers this project's plugins, as cmd/scheduler does.
var ours app.Option = func(registry frameworkruntime.Registry) error { return registry.Merge(outOfTree) }

// set is a scheduler that does not run yet.
type set struct {
	config    *config.CompletedConfig
	scheduler *scheduler.Scheduler
	ctx       context.Context
	cancel    context.CancelFunc
}

func setUp(t *testing.T, configuration string, plugins ...app.Option) set {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	opts := options.NewOptions()
	parseFlags(t, opts, "misc", "--config="+configuration)
	parseFlags(t, opts, "secure serving", "--secure-port=0")
	completed, sched, err := app.Setup(ctx, opts, plugins...)
	if err != nil {
		t.Fatalf("Setting up the scheduler: %v", err)
	}
	return set{config: completed, scheduler: sched, ctx: ctx, cancel: cancel}
}

// run starts a scheduler and returns when it schedules.
//
// It mirrors Run of cmd/kube-scheduler/app, which cannot be used: it ends the process when it loses the Lease.
func run(t *testing.T, s set) instance {
	t.Helper()
	s.config.EventBroadcaster.StartRecordingToSink(s.ctx.Done())
	leading, done, failed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	lead := func(ctx context.Context) {
		close(leading)
		s.scheduler.Run(ctx)
	}
	if s.config.LeaderElection != nil {
		s.config.LeaderElection.Callbacks = leaderelection.LeaderCallbacks{OnStartedLeading: lead, OnStoppedLeading: func() {}}
		elector, err := leaderelection.NewLeaderElector(*s.config.LeaderElection)
		if err != nil {
			t.Fatalf("Building the leader elector: %v", err)
		}
		lead = elector.Run
	}
	go func() {
		defer close(done)
		if err := syncCaches(s); err != nil {
			failed <- err
			return
		}
		lead(s.ctx)
	}()
	stop := sync.OnceFunc(func() {
		s.cancel()
		<-done
		s.config.EventBroadcaster.Shutdown()
	})
	t.Cleanup(stop)

	timeout := time.AfterFunc(startTimeout, s.cancel)
	defer timeout.Stop()
	select {
	case <-leading:
	case err := <-failed:
		t.Fatalf("The scheduler did not start within %s: %v", startTimeout, err)
	case <-done:
		t.Fatalf("The scheduler did not get its Lease within %s", startTimeout)
	}
	return instance{nodes: s.config.InformerFactory.Core().V1().Nodes().Lister(), stop: stop}
}

func syncCaches(s set) error {
	s.config.InformerFactory.Start(s.ctx.Done())
	s.config.DynInformerFactory.Start(s.ctx.Done())
	for resource, synced := range s.config.InformerFactory.WaitForCacheSync(s.ctx.Done()) {
		if !synced {
			return errors.New("the cache never synced: " + resource.String())
		}
	}
	return s.scheduler.WaitForHandlersSync(s.ctx)
}

func parseFlags(t *testing.T, opts *options.Options, set, flag string) {
	t.Helper()
	if err := opts.Flags.FlagSet(set).Parse([]string{flag}); err != nil {
		t.Fatalf("Parsing %s: %v", flag, err)
	}
}

// deployedConfig is the configuration that is deployed.
func deployedConfig(t *testing.T) map[string]any {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(manifests, "scheduler-config.yaml"))
	if err != nil {
		t.Fatalf("Reading the configuration that is deployed: %v", err)
	}
	var configuration map[string]any
	if err := sigsyaml.Unmarshal(content, &configuration); err != nil {
		t.Fatalf("Decoding the configuration that is deployed: %v", err)
	}
	return configuration
}

// writeConfig writes a configuration with one addition: where the API server is. In the cluster the service account
// says that.
func writeConfig(t *testing.T, configuration map[string]any, access clientcmdapi.Config) string {
	t.Helper()
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(access, kubeconfig); err != nil {
		t.Fatalf("Writing the kubeconfig: %v", err)
	}
	configuration["clientConnection"].(map[string]any)["kubeconfig"] = kubeconfig
	content, err := sigsyaml.Marshal(configuration)
	if err != nil {
		t.Fatalf("Encoding the configuration: %v", err)
	}
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatalf("Writing the configuration: %v", err)
	}
	return path
}

// kubeconfigAsAdmin reaches the API server with all rights.
func kubeconfigAsAdmin() clientcmdapi.Config {
	const name = "envtest"
	return clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: admin.Host, CertificateAuthorityData: admin.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {ClientCertificateData: admin.CertData, ClientKeyData: admin.KeyData}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}
}

// kubeconfigAsScheduler lets the admin act as the scheduler's service account.
func kubeconfigAsScheduler() clientcmdapi.Config {
	kubeconfig := kubeconfigAsAdmin()
	for _, user := range kubeconfig.AuthInfos {
		user.Impersonate = schedulerUser
		user.ImpersonateGroups = schedulerGroups
	}
	return kubeconfig
}

// applyRBAC creates the namespace and every object of rbac.yaml.
func applyRBAC(t *testing.T) {
	t.Helper()
	c := newClient(t)
	create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNS}})
	applyFile(t, c, filepath.Join(manifests, "rbac.yaml"))
}

// applyFile creates every object of a manifest.
func applyFile(t *testing.T, c client.Client, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("Reading a manifest that is deployed: %v", err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("Decoding %s: %v", path, err)
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
