// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/config"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	crlog "sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"podtrail.dev/podtrail/scheduler-plugin/decisions"
	"podtrail.dev/podtrail/scheduler-plugin/decisions/observe"
	"podtrail.dev/podtrail/scheduler-plugin/imagezone"
	"podtrail.dev/podtrail/telemetry/serve"
	"podtrail.dev/podtrail/telemetry/spans"
)

const (
	defaultDecisionBytes = 32 << 20
	minDecisionBytes     = 1 << 20
)

// recording holds the flags that are not upstream's.
type recording struct {
	bytes       int64
	bindAddress string
}

func (r *recording) bind(flags *pflag.FlagSet) {
	flags.Int64Var(&r.bytes, "decisions-bytes", defaultDecisionBytes, fmt.Sprintf(
		"How much memory the recorded decisions may take, in bytes, at least %d; the oldest go first. 0 records none.", minDecisionBytes))
	flags.StringVar(&r.bindAddress, "decisions-bind-address", ":8443",
		"Address where the recorded decisions are served: TLS, for authenticated callers only.")
}

func (r *recording) validate() error {
	if r.bytes != 0 && r.bytes < minDecisionBytes {
		return fmt.Errorf("--decisions-bytes is %d, want 0 or at least %d (1 MiB)", r.bytes, minDecisionBytes)
	}
	return nil
}

// outOfTree are the plugins beside upstream's.
var outOfTree = frameworkruntime.Registry{
	imagezone.Name: imagezone.New,
	decisions.Name: decisions.New,
}

// newCommand mirrors NewSchedulerCommand of cmd/kube-scheduler/app, with two more flags. Upstream's command creates and
// runs the scheduler in one step; the recorder has to be attached in between.
func newCommand() *cobra.Command {
	opts := options.NewOptions()
	var record recording
	cmd := &cobra.Command{
		Use: "kube-scheduler",
		Long: `The kube-scheduler of Kubernetes 1.36 with podtrail's plugins ImageZone and DecisionRecorder linked in. Flags,
configuration and endpoints are upstream's, except --decisions-bytes and --decisions-bind-address.`,
		Args:              cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error { return opts.ComponentGlobalsRegistry.Set() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			verflag.PrintAndExitIfRequested()
			if err := record.validate(); err != nil {
				return err
			}
			return run(cmd, opts, record)
		},
	}
	sets := opts.Flags
	record.bind(sets.FlagSet("decisions"))
	verflag.AddFlags(sets.FlagSet("global"))
	globalflag.AddGlobalFlags(sets.FlagSet("global"), cmd.Name(), logs.SkipLoggingConfigurationFlags())
	for _, set := range sets.FlagSets {
		cmd.Flags().AddFlagSet(set)
	}
	columns, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, *sets, columns)
	return cmd
}

// run mirrors runCommand of cmd/kube-scheduler/app.
func run(cmd *cobra.Command, opts *options.Options, record recording) error {
	gates := opts.ComponentGlobalsRegistry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(opts.Logs, gates); err != nil {
		return fmt.Errorf("applying the logging flags: %w", err)
	}
	cliflag.PrintFlags(cmd.Flags())
	ctx := server.SetupSignalContext()
	completed, sched, err := app.Setup(ctx, opts, withPlugins)
	if err != nil {
		return err // names what was attempted
	}
	if mutable, ok := gates.(featuregate.MutableFeatureGate); ok {
		mutable.AddMetrics()
	}
	opts.ComponentGlobalsRegistry.AddMetrics()
	if record.bytes > 0 {
		if err := startRecording(ctx, completed, sched, record); err != nil {
			return err
		}
	}
	return app.Run(ctx, completed, sched)
}

// withPlugins registers our plugins.
func withPlugins(registry frameworkruntime.Registry) error {
	return registry.Merge(outOfTree)
}

// startRecording attaches a recorder to the scheduler and serves its records until ctx ends. A scheduler that does not
// lead serves an empty list. So whoever asks all schedulers gets the records of the leader, and after a change of
// leader those that the previous leader still keeps.
func startRecording(ctx context.Context, completed *config.CompletedConfig, sched *scheduler.Scheduler, record recording) error {
	provider, err := spans.New(ctx, spans.Options{Service: "podtrail-scheduler", Log: klog.FromContext(ctx)})
	if err != nil {
		return fmt.Errorf("reporting spans: %w", err)
	}
	crlog.SetLogger(klog.FromContext(ctx)) // the server's
	recorder := observe.NewRecorder(record.bytes, provider.Tracer(decisions.Name))
	if err := recorder.Attach(ctx, sched, completed.ComponentConfig.Profiles, outOfTree); err != nil {
		return fmt.Errorf("attaching the recorder: %w", err)
	}
	// The configuration's clients limit what the scheduler sends. Reviews of callers need no limit.
	reviews := rest.CopyConfig(completed.KubeConfig)
	reviews.ContentType = "application/json"
	client, err := rest.HTTPClientFor(reviews)
	if err != nil {
		return fmt.Errorf("making the client that reviews callers: %w", err)
	}
	served, err := metricsserver.NewServer(serve.Options(record.bindAddress, version, recorder), reviews, client)
	if err != nil {
		return fmt.Errorf("serving the decisions: %w", err)
	}
	go recorder.Run(ctx)
	go func() {
		if err := served.Start(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "Serving the decisions ended; the scheduler continues", "address", record.bindAddress)
		}
	}()
	if provider != nil {
		go func() {
			if err := provider.Start(ctx); err != nil {
				klog.FromContext(ctx).Error(err, "Could not send the last spans")
			}
		}()
	}
	return nil
}
