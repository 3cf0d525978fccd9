// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	uberzap "go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"podtrail.dev/podtrail/webhooks"
	"podtrail.dev/podtrail/webhooks/certs"
)

// errUsage marks wrong flags: exit code 2.
var errUsage = errors.New("wrong use of manager")

// options are what the flags say.
type options struct {
	sidecarImage            string
	schedulerName           string
	namespace               string
	leaderElect             bool
	maxConcurrentReconciles int
	reconcileRecords        int
	kubeAPIQPS              float32
	kubeAPIBurst            int
	metricsAddress          string
	healthAddress           string
	webhookPort             int
	logLevel                string
	logFormat               string
	level                   zapcore.Level
}

func parseOptions(args []string) (options, error) {
	var o options
	fs := pflag.NewFlagSet("manager", pflag.ContinueOnError)
	fs.StringVar(&o.sidecarImage, "sidecar-image", os.Getenv("SIDECAR_IMAGE"), "image of the proxy that is put into Pods (default: $SIDECAR_IMAGE)")
	fs.StringVar(&o.schedulerName, "scheduler-name", "podtrail-scheduler", "scheduler that Pods without a choice of their own are given")
	fs.StringVar(&o.namespace, "namespace", envOr("POD_NAMESPACE", "podtrail-system"), "namespace of the manager: of its leader lease and its certificate's Secret")
	fs.BoolVar(&o.leaderElect, "leader-elect", true, "let only one replica run the controller; the webhooks run on all")
	fs.IntVar(&o.maxConcurrentReconciles, "max-concurrent-reconciles", 5, "how many TeachingReplicaSets are reconciled at once")
	fs.IntVar(&o.reconcileRecords, "reconcile-records-bytes", 4<<20, "memory for the records of reconciles, served as /v1/records beside the metrics; 0: keep none")
	fs.Float32Var(&o.kubeAPIQPS, "kube-api-qps", -1, "requests per second to the API server; -1: no limit but the server's own priority and fairness")
	fs.IntVar(&o.kubeAPIBurst, "kube-api-burst", 100, "requests above --kube-api-qps in a burst")
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of the authenticated metrics")
	fs.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	fs.IntVar(&o.webhookPort, "webhook-port", 9443, "port of the webhooks")
	fs.StringVar(&o.logLevel, "log-level", "info", "debug, info, error, or a number: the higher, the more is logged")
	fs.StringVar(&o.logFormat, "log-format", "json", "json or console")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if rest := fs.Args(); len(rest) > 0 {
		return o, fmt.Errorf("%w: unknown argument %q: only flags are accepted, see --help", errUsage, rest[0])
	}
	return o, o.complete()
}

// complete checks what the flag types can't, and names the flag.
func (o *options) complete() error {
	var errs []error
	if o.sidecarImage == "" {
		errs = append(errs, errors.New("--sidecar-image is empty: give it, or set SIDECAR_IMAGE"))
	}
	if o.schedulerName == "" {
		errs = append(errs, errors.New("--scheduler-name is empty: give the name of a scheduler's profile"))
	}
	if o.maxConcurrentReconciles < 1 {
		errs = append(errs, fmt.Errorf("--max-concurrent-reconciles is %d: give 1 or more", o.maxConcurrentReconciles))
	}
	if o.reconcileRecords < 0 {
		errs = append(errs, fmt.Errorf("--reconcile-records-bytes is %d: give a number of bytes, or 0 to keep no records", o.reconcileRecords))
	}
	if o.webhookPort < 1 || o.webhookPort > 65535 {
		errs = append(errs, fmt.Errorf("--webhook-port is %d: give 1 to 65535", o.webhookPort))
	}
	if o.logFormat != "json" && o.logFormat != "console" {
		errs = append(errs, fmt.Errorf("--log-format is %q: give json or console", o.logFormat))
	}
	var err error
	if o.level, err = parseLevel(o.logLevel); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", errUsage, errors.Join(errs...))
	}
	return nil
}

// parseLevel accepts zap's names and logr's numbers, which run the other way.
func parseLevel(s string) (zapcore.Level, error) {
	if n, err := strconv.ParseInt(s, 10, 8); err == nil && n >= 0 {
		return zapcore.Level(-n), nil
	}
	level, err := zapcore.ParseLevel(s)
	if err != nil || s == "" {
		return 0, fmt.Errorf("--log-level is %q: give debug, info, error, or a number from 0", s)
	}
	return level, nil
}

func newLogger(o options) logr.Logger {
	return zap.New(zap.UseDevMode(o.logFormat == "console"), zap.Level(uberzap.NewAtomicLevelAt(o.level)))
}

func (o *options) certificates() certs.Options {
	return certs.Options{
		Secret:                  types.NamespacedName{Namespace: o.namespace, Name: "podtrail-webhook-cert"},
		ServiceName:             "podtrail-webhook",
		MutatingConfiguration:   "podtrail-mutating-webhooks",
		ValidatingConfiguration: "podtrail-validating-webhooks",
	}
}

func (o *options) webhooks() webhooks.Options {
	return webhooks.Options{
		SidecarImage:     o.sidecarImage,
		SchedulerName:    o.schedulerName,
		Version:          version,
		ExemptNamespaces: []string{metav1.NamespaceSystem, corev1.NamespaceNodeLease, metav1.NamespacePublic, o.namespace},
	}
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
