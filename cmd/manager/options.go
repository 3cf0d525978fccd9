// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"podtrail.dev/podtrail/webhooks"
	"podtrail.dev/podtrail/webhooks/certs"
)

// errUsage marks wrong flags: exit code 2.
var errUsage = errors.New("wrong use of manager")

// options are the values of the flags.
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
	logging                 zap.Options
}

func parseOptions(args []string) (options, error) {
	var o options
	fs := pflag.NewFlagSet("manager", pflag.ContinueOnError)
	fs.StringVar(&o.sidecarImage, "sidecar-image", os.Getenv("SIDECAR_IMAGE"), "image of the proxy that is injected into Pods (default: $SIDECAR_IMAGE)")
	fs.StringVar(&o.schedulerName, "scheduler-name", "podtrail-scheduler", "scheduler for Pods that do not choose one")
	fs.StringVar(&o.namespace, "namespace", envOr("POD_NAMESPACE", "podtrail-system"), "namespace of the manager, with its Lease and the Secret of its certificate")
	fs.BoolVar(&o.leaderElect, "leader-elect", true, "let only one replica run the controller; the webhooks run on all replicas")
	fs.IntVar(&o.maxConcurrentReconciles, "max-concurrent-reconciles", 5, "number of TeachingReplicaSets that are reconciled at the same time")
	fs.IntVar(&o.reconcileRecords, "reconcile-records-bytes", 4<<20, "memory for the records of reconciles, which are served as /v1/records beside the metrics; 0 keeps none")
	fs.Float32Var(&o.kubeAPIQPS, "kube-api-qps", -1, "requests per second to the API server; -1 leaves the limit to its priority and fairness")
	fs.IntVar(&o.kubeAPIBurst, "kube-api-burst", 100, "requests that may exceed --kube-api-qps in a burst")
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of the authenticated metrics")
	fs.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	fs.IntVar(&o.webhookPort, "webhook-port", 9443, "port of the webhooks")
	logFlags := flag.NewFlagSet("", flag.ContinueOnError)
	o.logging.BindFlags(logFlags)
	fs.AddGoFlagSet(logFlags)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if rest := fs.Args(); len(rest) > 0 {
		return o, fmt.Errorf("%w: unknown argument %q: only flags are accepted, see --help", errUsage, rest[0])
	}
	return o, o.validate()
}

// validate checks what the types of the flags do not. Its errors name the flag.
func (o *options) validate() error {
	var errs []error
	if o.sidecarImage == "" {
		errs = append(errs, errors.New("--sidecar-image is empty: set it, or the environment variable SIDECAR_IMAGE"))
	}
	if o.schedulerName == "" {
		errs = append(errs, errors.New("--scheduler-name is empty: set the name of a scheduler profile"))
	}
	if o.maxConcurrentReconciles < 1 {
		errs = append(errs, fmt.Errorf("--max-concurrent-reconciles is %d: set 1 or more", o.maxConcurrentReconciles))
	}
	if o.reconcileRecords < 0 {
		errs = append(errs, fmt.Errorf("--reconcile-records-bytes is %d: set a number of bytes, or 0 to keep no records", o.reconcileRecords))
	}
	if o.webhookPort < 1 || o.webhookPort > 65535 {
		errs = append(errs, fmt.Errorf("--webhook-port is %d: set 1 to 65535", o.webhookPort))
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", errUsage, errors.Join(errs...))
	}
	return nil
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
