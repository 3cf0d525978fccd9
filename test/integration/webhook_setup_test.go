// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/manifests"
	"podtrail.dev/podtrail/webhooks"
	"podtrail.dev/podtrail/webhooks/certs"
)

const systemNamespace = "podtrail-system"

// readManifests returns every object of the files that match, in their order.
func readManifests(t *testing.T, pattern string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := manifests.Read(filepath.Join("../../config", pattern))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// startWebhooks installs config/webhook as it is deployed, and runs the webhooks
// and their certificates with the rights that config/rbac gives the manager.
// Only the way there differs: the API server reaches the Service by an external
// name, since there is no network of Pods.
func startWebhooks(t *testing.T) (stop func()) {
	t.Helper()
	port := freePort(t)
	installWebhooks(t, port)
	certificates := certs.NewManager(certs.Options{
		Secret:                  types.NamespacedName{Namespace: systemNamespace, Name: "podtrail-webhook-cert"},
		ServiceName:             "podtrail-webhook",
		MutatingConfiguration:   "podtrail-mutating-webhooks",
		ValidatingConfiguration: "podtrail-validating-webhooks",
	})
	stop = runWebhooks(t, certificates, port)
	await(t, "the certificate is served and trusted", func(context.Context) error { return certificates.Ready(nil) })
	return stop
}

// installWebhooks applies config/webhook and config/rbac. They go when the test ends.
func installWebhooks(t *testing.T, port int) {
	t.Helper()
	ctx := t.Context()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}}
	if err := k8sClient.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("Creating namespace %s: %v", systemNamespace, err)
	}
	for _, obj := range slices.Concat(readManifests(t, "rbac/*.yaml"), readManifests(t, "webhook/*.yaml")) {
		if err := manifests.Redirect(obj, int64(port)); err != nil {
			t.Fatal(err)
		}
		create(ctx, t, obj)
		t.Cleanup(func() {
			if err := k8sClient.Delete(context.WithoutCancel(ctx), obj); err != nil {
				t.Errorf("Deleting %s %s: %v", obj.GetKind(), obj.GetName(), err)
			}
		})
	}
}

func runWebhooks(t *testing.T, certificates *certs.Manager, port int) (stop func()) {
	t.Helper()
	asManager := rest.CopyConfig(restConfig)
	asManager.Impersonate.UserName = "system:serviceaccount:" + systemNamespace + ":podtrail-manager"
	mgr, err := ctrl.NewManager(asManager, ctrl.Options{
		Scheme:  scheme,
		Cache:   cache.Options{ByObject: certificates.CacheByObject()},
		Metrics: metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: "127.0.0.1", Port: port, TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.GetCertificate = certificates.GetCertificate }},
		}),
	})
	if err != nil {
		t.Fatalf("Making the manager: %v", err)
	}
	options := webhooks.Options{SidecarImage: "registry.example/proxy:1", SchedulerName: "podtrail-scheduler", Version: "test"}
	if err := errors.Join(certificates.SetupWithManager(mgr), webhooks.SetupWithManager(mgr, options)); err != nil {
		t.Fatalf("Setting up the webhooks: %v", err)
	}
	return runManager(t, mgr)
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("%v is no TCP address", listener.Addr())
	}
	return address.Port
}

// demoNamespace makes a namespace with the labels of the samples' namespace: it
// opts in and enforces Pod Security "restricted".
func demoNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "demo-",
		Labels:       readManifests(t, "samples/namespace.yaml")[0].GetLabels(),
	}}
	if namespace.Labels[podtrailv1alpha1.AdmissionLabelKey] != podtrailv1alpha1.AdmissionEnabled {
		t.Fatalf("config/samples/namespace.yaml does not opt in: labels %v", namespace.Labels)
	}
	create(t.Context(), t, namespace)
	return namespace.Name
}

// warnings collects what the API server says beside its answers.
type warnings []string

func (w *warnings) HandleWarningHeader(_ int, _, text string) { *w = append(*w, text) }

// clientWithWarnings returns a client and where its warnings go.
func clientWithWarnings(t *testing.T) (client.Client, *warnings) {
	t.Helper()
	collected := &warnings{}
	config := rest.CopyConfig(restConfig)
	config.WarningHandler = collected
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(fmt.Errorf("making a client: %w", err))
	}
	return c, collected
}
