// SPDX-License-Identifier: Apache-2.0

// Command manager runs the TeachingReplicaSet controller, on the leader, and the admission webhooks, on every replica.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers"
	"podtrail.dev/podtrail/webhooks"
	"podtrail.dev/podtrail/webhooks/certs"
)

// version is set by the linker (-X main.version=...).
var version = "dev"

// serviceName is the manager's service.name in its spans.
const serviceName = "podtrail-manager"

// shutdownTimeout leaves room for the preStop pause of config/manager in the grace period of 30 s.
const shutdownTimeout = 20 * time.Second

func main() {
	err := run(ctrl.SetupSignalHandler(), os.Args[1:])
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		ctrl.Log.Error(err, "Stopped")
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.logging)))
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	certificates := certs.NewManager(o.certificates())
	mgr, err := newManager(ctx, cfg, o, certificates)
	if err != nil {
		return err
	}
	ctrl.Log.Info("Starting", "version", version, "sidecarImage", o.sidecarImage)
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return nil
}

// newManager assembles the parts.
func newManager(ctx context.Context, cfg *rest.Config, o options, certificates *certs.Manager) (manager.Manager, error) {
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), podtrailv1alpha1.AddToScheme(s)); err != nil {
		return nil, fmt.Errorf("registering the API types: %w", err)
	}
	cfg.QPS, cfg.Burst = o.kubeAPIQPS, o.kubeAPIBurst
	provider, kept, err := newTracing(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(cfg, managerOptions(o, s, certificates, kept))
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	if provider != nil {
		if err := mgr.Add(provider); err != nil {
			return nil, fmt.Errorf("adding the tracing of reconciles: %w", err)
		}
	}
	if err := certificates.SetupWithManager(mgr); err != nil {
		return nil, err
	}
	if err := addChecks(mgr, certificates); err != nil {
		return nil, err
	}
	if err := controllers.SetupWithManager(mgr, controllers.Options{
		MaxConcurrentReconciles: o.maxConcurrentReconciles, Tracer: provider.Tracer(controllers.Name),
	}); err != nil {
		return nil, fmt.Errorf("setting up the controller: %w", err)
	}
	if err := webhooks.SetupWithManager(mgr, o.webhooks()); err != nil {
		return nil, fmt.Errorf("setting up the webhooks: %w", err)
	}
	return mgr, nil
}
