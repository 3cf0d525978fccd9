// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"podtrail.dev/podtrail/controllers"
	"podtrail.dev/podtrail/controllers/records"
	"podtrail.dev/podtrail/webhooks/certs"
)

// keepRecords returns the buffer of reconcile records and lets the requests carry Audit-IDs of our own; nil if none
// are to be kept.
func keepRecords(cfg *rest.Config, o options) *records.Buffer {
	if o.reconcileRecords == 0 {
		return nil
	}
	cfg.Wrap(records.Transport)
	return records.NewBuffer(controllers.Name, o.reconcileRecords, clock.RealClock{})
}

func managerOptions(o options, s *runtime.Scheme, keeper *certs.Keeper, kept *records.Buffer) manager.Options {
	served := map[string]http.Handler{}
	if kept != nil {
		served["/v1/records"] = kept
	}
	byObject := controllers.CacheByObject()
	maps.Copy(byObject, keeper.CacheByObject())
	return manager.Options{
		Scheme: s,
		Cache: cache.Options{
			ByObject:         byObject,
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		Metrics: metricsserver.Options{
			BindAddress:    o.metricsAddress,
			SecureServing:  true,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
			TLSOpts:        []func(*tls.Config){hardenTLS},
			ExtraHandlers:  served,
		},
		WebhookServer:                 newWebhookServer(o.webhookPort, keeper.GetCertificate),
		HealthProbeBindAddress:        o.healthAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "podtrail-manager",
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       new(shutdownTimeout),
	}
}

// newWebhookServer serves a certificate that may change at any time.
func newWebhookServer(port int, getCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) webhook.Server {
	return webhook.NewServer(webhook.Options{
		Port:    port,
		TLSOpts: []func(*tls.Config){hardenTLS, func(c *tls.Config) { c.GetCertificate = getCertificate }},
	})
}

// hardenTLS allows TLS 1.3 only and switches HTTP/2 off, whose stream resets
// have been a way to exhaust servers (CVE-2023-44487). The API server speaks
// HTTP/1.1 to webhooks anyway.
func hardenTLS(c *tls.Config) {
	c.MinVersion = tls.VersionTLS13
	c.NextProtos = []string{"http/1.1"}
}

// addChecks: alive as long as the process answers; ready once this replica
// serves a certificate that the API server trusts.
func addChecks(mgr manager.Manager, keeper *certs.Keeper) error {
	err := errors.Join(
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("certificate", keeper.Ready),
		mgr.AddReadyzCheck("webhook-server", mgr.GetWebhookServer().StartedChecker()),
	)
	if err != nil {
		return fmt.Errorf("adding the health checks: %w", err)
	}
	return nil
}
