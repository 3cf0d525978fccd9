// SPDX-License-Identifier: Apache-2.0

// Package integration runs the parts against a real kube-apiserver and etcd, without kubelets.
package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// What every test of this package may use. Tests keep apart by namespaces: see newNamespace.
var (
	scheme     = runtime.NewScheme()
	restConfig *rest.Config
	k8sClient  client.Client
	// etcdURL is where the API server's etcd listens.
	etcdURL string
)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration tests:", err)
		code = 1
	}
	os.Exit(code)
}

// runTests starts the control plane, runs the tests and stops it.
func runTests(m *testing.M) (code int, err error) {
	if err := checkEnvironment(); err != nil {
		return 1, err
	}
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, podtrailv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return 1, fmt.Errorf("building the scheme: %w", err)
		}
	}
	ctrl.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	environment := &envtest.Environment{
		Scheme:                scheme,
		CRDDirectoryPaths:     []string{"../../config/crd/bases"},
		ErrorIfCRDPathMissing: true,
		// The default of 10 s is too little on a machine that does other work as well.
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 3 * time.Minute},
	}
	if restConfig, err = environment.Start(); err != nil {
		return 1, fmt.Errorf("starting kube-apiserver and etcd: %w", err)
	}
	defer func() { err = errors.Join(err, environment.Stop()) }()
	etcdURL = environment.ControlPlane.Etcd.URL.String()
	// No limit of this client's own: what is measured and waited for is the server.
	restConfig.QPS = -1
	if k8sClient, err = client.New(restConfig, client.Options{Scheme: scheme}); err != nil {
		return 1, fmt.Errorf("making the tests' client: %w", err)
	}
	return m.Run(), nil
}

// checkEnvironment refuses to run without what `make test` sets, so that nothing is left out in silence.
func checkEnvironment() error {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return errors.New("KUBEBUILDER_ASSETS is not set; run `make test`, " +
			"which builds kube-apiserver, etcd and kubectl and sets it to their directory")
	}
	if os.Getenv("KUBE_CACHE_MUTATION_DETECTOR") != "true" {
		return errors.New("KUBE_CACHE_MUTATION_DETECTOR is not \"true\"; run `make test`, which sets it, " +
			"because the controller reads cached objects without copying them")
	}
	return nil
}

// create makes objects and fails the test if one is refused.
func create(ctx context.Context, t *testing.T, objs ...client.Object) {
	t.Helper()
	for _, obj := range objs {
		if err := k8sClient.Create(ctx, obj); err != nil {
			t.Fatalf("Creating %T %s/%s: %v", obj, obj.GetNamespace(), obj.GetName(), err)
		}
	}
}
