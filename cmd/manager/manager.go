// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"podtrail.dev/podtrail/controllers"
	"podtrail.dev/podtrail/controllers/tracing"
	"podtrail.dev/podtrail/telemetry/serve"
	"podtrail.dev/podtrail/telemetry/spans"
	"podtrail.dev/podtrail/trail/source"
	"podtrail.dev/podtrail/webhooks/certs"
)

// newTracing returns the provider of the tracer for reconciles, and the records that this process keeps and serves.
// Requests made with cfg then carry Audit-IDs of our own. The provider is nil, and nothing is kept, if there is neither
// memory for records nor an OpenTelemetry collector.
func newTracing(ctx context.Context, cfg *rest.Config, o options) (*spans.Provider, []serve.Source, error) {
	options := spans.Options{Service: serviceName, Version: version, Log: ctrl.Log.WithName("telemetry")}
	var kept []serve.Source
	if o.reconcileRecords > 0 {
		options.Keep = spans.NewKeeper(source.Reconcile, int64(o.reconcileRecords))
		kept = append(kept, options.Keep)
	}
	provider, err := spans.New(ctx, options)
	if err != nil {
		return nil, nil, fmt.Errorf("setting up the tracing of reconciles: %w", err)
	}
	if provider != nil {
		cfg.Wrap(tracing.Transport)
	}
	return provider, kept, nil
}

func managerOptions(o options, s *runtime.Scheme, certificates *certs.Manager, kept []serve.Source) manager.Options {
	byObject := controllers.CacheByObject()
	maps.Copy(byObject, certificates.CacheByObject())
	return manager.Options{
		Scheme: s,
		Cache: cache.Options{
			ByObject:         byObject,
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		Metrics:                       serve.Options(o.metricsAddress, version, kept...),
		WebhookServer:                 newWebhookServer(o.webhookPort, certificates.GetCertificate),
		HealthProbeBindAddress:        o.healthAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "podtrail-manager",
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       new(shutdownTimeout),
	}
}

// newWebhookServer returns a server whose certificate may change at any time.
func newWebhookServer(port int, getCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) webhook.Server {
	return webhook.NewServer(webhook.Options{
		Port:    port,
		TLSOpts: []func(*tls.Config){hardenTLS, func(c *tls.Config) { c.GetCertificate = getCertificate }},
	})
}

// hardenTLS allows only TLS 1.3 and disables HTTP/2, whose stream resets can exhaust a server (CVE-2023-44487). The API
// server uses HTTP/1.1 for webhooks anyway.
func hardenTLS(c *tls.Config) {
	c.MinVersion = tls.VersionTLS13
	c.NextProtos = []string{"http/1.1"}
}

// addChecks adds the health checks: the manager is alive while the process answers, and ready once this replica serves
// a certificate that the API server trusts.
func addChecks(mgr manager.Manager, certificates *certs.Manager) error {
	err := errors.Join(
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("certificate", certificates.Ready),
		mgr.AddReadyzCheck("webhook-server", mgr.GetWebhookServer().StartedChecker()),
	)
	if err != nil {
		return fmt.Errorf("adding the health checks: %w", err)
	}
	return nil
}
