// SPDX-License-Identifier: Apache-2.0

// Command recorder keeps the evidence that one node gives, bounded in memory, and serves it to callers that the API
// server authenticates and RBAC allows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"podtrail.dev/podtrail/recorder/etcdwatch"
	"podtrail.dev/podtrail/telemetry/serve"
)

// gracefulStop is how long answers that are being sent may take to end; it must be less than the Pod's
// terminationGracePeriodSeconds.
const gracefulStop = 8 * time.Second

// version is set by the linker (-X main.version=...).
var version = "dev"

type options struct {
	auditLog           string
	nodeName           string
	otlpBindAddress    string
	etcd               etcdwatch.Config
	etcdPrefix         string
	cniResults         string
	ociBundles         string
	bufferBytes        int64
	metricsBindAddress string
	probeBindAddress   string
}

func (o *options) bind(flags *flag.FlagSet) {
	flags.StringVar(&o.auditLog, "audit-log", "", "Path of the API server's audit log. Empty: this recorder follows none. It need not exist: nodes without an API server have none.")
	flags.StringVar(&o.nodeName, "node-name", os.Getenv("NODE_NAME"), "Name of the node this recorder runs on. Default: the environment's NODE_NAME.")
	flags.StringVar(&o.otlpBindAddress, "otlp-bind-address", "", "Loopback address to receive spans at (OTLP/gRPC, without authentication), such as 127.0.0.1:4317. Empty: none are received.")
	flags.StringVar(&o.etcd.Endpoint, "etcd-endpoint", "", "URL of the control plane's etcd. Empty: it is not watched.")
	flags.StringVar(&o.etcd.CAFile, "etcd-ca-file", "", "PEM file with the CA of etcd's certificate.")
	flags.StringVar(&o.etcd.CertFile, "etcd-cert-file", "", "PEM file with the client certificate for etcd. It is used to read alone.")
	flags.StringVar(&o.etcd.KeyFile, "etcd-key-file", "", "PEM file with that certificate's key.")
	flags.StringVar(&o.etcdPrefix, "etcd-prefix", "/registry", "The API server's --etcd-prefix.")
	flags.StringVar(&o.cniResults, "cni-results", "", "Directory of libcni's cached results. Empty: they are not read.")
	flags.StringVar(&o.ociBundles, "oci-bundles", "", "Directory of the bundles of containerd's shims. Empty: they are not read.")
	flags.Int64Var(&o.bufferBytes, "buffer-bytes", 24<<20, "How much evidence to hold, of all sources together, packed, in bytes; the oldest of each source goes first.")
	flags.StringVar(&o.metricsBindAddress, "metrics-bind-address", ":8443", "Address for metrics and evidence: TLS, for authenticated callers only.")
	flags.StringVar(&o.probeBindAddress, "health-probe-bind-address", ":8081", "Address for /healthz and /readyz.")
}

func (o *options) validate() error {
	if o.nodeName == "" {
		return errors.New("--node-name is empty, want the name of the node (or set NODE_NAME)")
	}
	if o.bufferBytes < 1<<20 {
		return fmt.Errorf("--buffer-bytes is %d, want at least %d (1 MiB)", o.bufferBytes, 1<<20)
	}
	return nil
}

func main() {
	var o options
	logging := zap.Options{}
	o.bind(flag.CommandLine)
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	log := zap.New(zap.UseFlagOptions(&logging))
	ctrl.SetLogger(log)
	if err := run(ctrl.SetupSignalHandler(), log, o); err != nil {
		log.Error(err, "The recorder stopped")
		os.Exit(1)
	}
}

func run(ctx context.Context, log logr.Logger, o options) error {
	if err := o.validate(); err != nil {
		return err
	}
	log.Info("Starting", "version", version, "node", o.nodeName)
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	opened, err := o.open()
	if err != nil {
		return err
	}
	if err := metrics.Registry.Register(serve.NewCollector(opened.served...)); err != nil {
		return fmt.Errorf("registering the metrics: %w", err)
	}
	stop := gracefulStop
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Logger:                  log,
		Scheme:                  runtime.NewScheme(), // it reads no objects
		Metrics:                 serve.Options(o.metricsBindAddress, version, opened.served...),
		HealthProbeBindAddress:  o.probeBindAddress,
		GracefulShutdownTimeout: &stop,
	})
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	for _, runnable := range opened.runnables {
		if err := manager.Add(runnable); err != nil {
			return fmt.Errorf("adding a source: %w", err)
		}
	}
	if err := errors.Join(
		manager.AddHealthzCheck("ping", healthz.Ping), manager.AddReadyzCheck("ping", healthz.Ping),
	); err != nil {
		return fmt.Errorf("adding the health checks: %w", err)
	}
	return manager.Start(ctx)
}
