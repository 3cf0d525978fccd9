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

	"podtrail.dev/podtrail/recorder/auditlog"
	"podtrail.dev/podtrail/telemetry/buffer"
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
	bufferBytes        int64
	metricsBindAddress string
	probeBindAddress   string
}

func (o *options) bind(flags *flag.FlagSet) {
	flags.StringVar(&o.auditLog, "audit-log", "", "Path of the API server's audit log. Empty: this recorder follows none. It need not exist: nodes without an API server have none.")
	flags.StringVar(&o.nodeName, "node-name", os.Getenv("NODE_NAME"), "Name of the node this recorder runs on. Default: the environment's NODE_NAME.")
	flags.Int64Var(&o.bufferBytes, "buffer-bytes", 40<<20, "How much evidence to hold, in bytes; the oldest goes first.")
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
	var sources []serve.Source
	var follower *auditlog.Follower
	if o.auditLog != "" {
		follower = auditlog.New(o.auditLog, o.nodeName, buffer.New(o.bufferBytes))
		sources = append(sources, follower)
	}
	if err := metrics.Registry.Register(serve.NewCollector(sources...)); err != nil {
		return fmt.Errorf("registering the metrics: %w", err)
	}
	stop := gracefulStop
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Logger:                  log,
		Scheme:                  runtime.NewScheme(), // it reads no objects
		Metrics:                 serve.Options(o.metricsBindAddress, sources...),
		HealthProbeBindAddress:  o.probeBindAddress,
		GracefulShutdownTimeout: &stop,
	})
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if follower != nil {
		if err := manager.Add(follower); err != nil {
			return fmt.Errorf("adding the audit log's follower: %w", err)
		}
	}
	if err := errors.Join(
		manager.AddHealthzCheck("ping", healthz.Ping), manager.AddReadyzCheck("ping", healthz.Ping),
	); err != nil {
		return fmt.Errorf("adding the health checks: %w", err)
	}
	return manager.Start(ctx)
}
