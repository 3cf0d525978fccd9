// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/cmd/podtrail/export"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// trailOptions are the inputs of podtrail trail.
type trailOptions struct {
	show

	flags   *genericclioptions.ConfigFlags
	version string
	follow  bool
	// connect makes the reader of the cluster; a test may give it another way to the recorders.
	connect func() (*collect.Cluster, string, error)
}

func newTrail(flags *genericclioptions.ConfigFlags, version string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &trailOptions{show: newShow(streams), flags: flags, version: version}
	o.connect = o.connectByFlags
	return o.command()
}

func (o *trailOptions) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trail KIND/NAME",
		Short: "Print every stage of an object's way, with the evidence",
		Long: `Print every stage that a Pod, or the Pods of a workload, went through.

KIND is deployment, replicaset, teachingreplicaset or pod, or their short names. A Pod that was refused does not exist
as an object and is found by its audit events.

With OTEL_EXPORTER_OTLP_ENDPOINT set, the trail is also sent there, by OTLP over gRPC, as one trace.

Exit codes: 0 the trail was printed, with what sources are missing; 1 the same, and the Pod failed; 2 wrong use; 3 nothing
could be printed: the cluster can't be reached, or what was asked for may be in a source that can't be read.`,
		Example: `  podtrail trail deployment/nginx-deployment -n podtrail-demo
  podtrail trail pod/no-limit -n podtrail-demo -v
  podtrail trail trs/web -n podtrail-demo -o yaml`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: o.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "print the stages as they happen, until the Pods are Ready or failed, then the trail")
	return cmd
}

// run prints the trail that the arguments ask for.
func (o *trailOptions) run(ctx context.Context, args []string) error {
	kind, name, err := parseReference(args)
	if err != nil {
		return err
	}
	if err := o.check("podtrail trail " + kind.Argument + "/" + name); err != nil {
		return err
	}
	cluster, namespace, err := o.connect()
	if err != nil {
		return err
	}
	ref := trail.Subject{Kind: kind.Kind, Namespace: namespace, Name: name}
	if o.follow {
		return o.followTo(ctx, cluster, kind, ref)
	}
	found, evidence, err := readTrail(ctx, cluster, kind, ref, o.streams.ErrOut)
	if err != nil {
		return err
	}
	return o.printAndExport(ctx, found, evidence)
}

// printAndExport prints the trail first: a collector that does not answer must not be waited for before.
func (o *trailOptions) printAndExport(ctx context.Context, found trail.Trail, evidence collect.Evidence) error {
	err := o.print(found, shownProblems(evidence.Problems))
	o.export(ctx, found)
	return err
}

// export sends the trail to a collector, if the environment names one. That it can't be sent goes to stderr, and changes
// nothing of how the command ends.
func (o *trailOptions) export(ctx context.Context, t trail.Trail) {
	if !export.Wanted() {
		return
	}
	id, err := export.Send(ctx, t, o.version)
	if err != nil {
		_, _ = fmt.Fprintf(o.streams.ErrOut, "not exported: %v\nnext:    unset OTEL_EXPORTER_OTLP_ENDPOINT, or start a collector there\n", err)
		return
	}
	_, _ = fmt.Fprintf(o.streams.ErrOut, "exported as trace %s\n", id)
}

// spanWait is how long a trail is read again until the spans of what has just happened are there: exporters send every
// 5 s. spanPause is the pause between two readings.
const (
	spanWait  = 7 * time.Second
	spanPause = time.Second
)

// readTrail reads the evidence of the object's namespace and builds the object's trail. Of what happened only seconds ago
// it waits for the spans.
func readTrail(ctx context.Context, cluster *collect.Cluster, kind collect.KindInfo, ref trail.Subject, errOut io.Writer) (trail.Trail, collect.Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, collect.Timeout)
	defer cancel()
	progress := startProgress(errOut)
	defer progress.stop()
	cluster.Doing = progress.doing
	until := time.Now().Add(spanWait)
	for {
		found, evidence, err := readOnce(ctx, cluster, kind, ref)
		if err != nil || !found.SpansComeSoon() || time.Now().After(until) {
			return found, evidence, err
		}
		progress.doing("waiting for spans of the last seconds: exporters send every 5 s")
		if !wait(ctx, spanPause) {
			return found, evidence, nil
		}
	}
}

// readNow is readTrail without waiting.
func readNow(ctx context.Context, cluster *collect.Cluster, kind collect.KindInfo, ref trail.Subject, errOut io.Writer) (trail.Trail, collect.Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, collect.Timeout)
	defer cancel()
	progress := startProgress(errOut)
	defer progress.stop()
	cluster.Doing = progress.doing
	return readOnce(ctx, cluster, kind, ref)
}

// readOnce reads and builds once, and why spans are missing if any are.
func readOnce(ctx context.Context, cluster *collect.Cluster, kind collect.KindInfo, ref trail.Subject) (trail.Trail, collect.Evidence, error) {
	evidence, err := cluster.Around(ctx, ref.Namespace, kind, ref.Name)
	if err != nil {
		return trail.Trail{}, evidence, err
	}
	found, ok := trail.Build(evidence.Observations).Focus(ref)
	if !ok {
		return trail.Trail{}, evidence, notFound(ctx, cluster, kind, ref, evidence)
	}
	if found.LacksSpans() && len(evidence.Problems) == 0 { // what the recorders know of the senders tells why
		evidence.Sources = cluster.Listening(ctx)
		found, _ = trail.Build(evidence.Observations, source.Listening(evidence.Sources)...).Focus(ref)
	}
	return found, evidence, nil
}

// parseReference reads KIND/NAME, or KIND NAME as kubectl takes it too.
func parseReference(args []string) (collect.KindInfo, string, error) {
	wrong := func(what string) error {
		return &collect.Problem{Code: collect.WrongUse, What: what, Next: "podtrail trail deployment/NAME, or podtrail trail --help"}
	}
	var word, name string
	switch len(args) {
	case 0:
		return collect.KindInfo{}, "", wrong("What to show is missing: KIND/NAME.")
	case 1:
		before, after, found := strings.Cut(args[0], "/")
		if !found {
			return collect.KindInfo{}, "", wrong(fmt.Sprintf("%q is not KIND/NAME.", args[0]))
		}
		word, name = before, after
	case 2:
		word, name = args[0], args[1]
	default:
		return collect.KindInfo{}, "", wrong(fmt.Sprintf("One object at a time: %d arguments were given.", len(args)))
	}
	kind, err := collect.ParseKind(word)
	if err != nil {
		return collect.KindInfo{}, "", err
	}
	if name == "" || strings.ContainsAny(name, "/ ") {
		return collect.KindInfo{}, "", wrong(fmt.Sprintf("%q is not the name of a %s.", name, kind.Argument))
	}
	return kind, name, nil
}

// orPod takes a name alone for a Pod's, as kubectl logs does, in commands that are about one Pod.
func orPod(args []string) []string {
	if len(args) == 1 && !strings.Contains(args[0], "/") {
		return []string{"pod", args[0]}
	}
	return args
}

func (o *trailOptions) connectByFlags() (*collect.Cluster, string, error) { return connect(o.flags) }

// connect makes the reader of the cluster that the flags choose, and returns the namespace that they choose.
func connect(flags *genericclioptions.ConfigFlags) (*collect.Cluster, string, error) {
	loader := flags.ToRawKubeConfigLoader()
	config, err := collect.Configuration(loader, *flags.Context, *flags.APIServer)
	if err != nil {
		return nil, "", err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("find the namespace: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	cluster, err := collect.New(config)
	if err != nil {
		return nil, "", err
	}
	return cluster, namespace, nil
}

// complete offers kinds, then names of that kind.
func (o *trailOptions) complete(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	const quiet = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, quiet
	}
	word, _, hasName := strings.Cut(toComplete, "/")
	if !hasName {
		var out []string
		for _, kind := range collect.Kinds {
			out = append(out, kind.Argument+"/")
		}
		return out, quiet | cobra.ShellCompDirectiveNoSpace
	}
	kind, err := collect.ParseKind(word)
	if err != nil {
		return nil, quiet
	}
	cluster, namespace, err := o.connect()
	if err != nil {
		return nil, quiet
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	names, err := cluster.CompletionNames(ctx, kind, namespace)
	if err != nil {
		return nil, quiet
	}
	var out []string
	for _, name := range names {
		if offer := word + "/" + name; strings.HasPrefix(offer, toComplete) {
			out = append(out, offer)
		}
	}
	return out, quiet
}
