// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/render"
)

// outputs are the values of -o.
var outputs = []string{"tree", "table", "json", "yaml"}

// trailOptions are the inputs of podtrail trail.
type trailOptions struct {
	flags   *genericclioptions.ConfigFlags
	streams genericiooptions.IOStreams
	output  string
	verbose bool
	// connect makes the reader of the cluster; a test may give it another way to the recorders.
	connect func() (*collect.Cluster, string, error)
}

func newTrail(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &trailOptions{flags: flags, streams: streams}
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

Exit codes: 0 the trail was printed, with what sources are missing; 1 the same, and the Pod failed; 2 wrong use; 3 nothing
could be printed: the cluster can't be reached, or what was asked for may be in a source that can't be read.`,
		Example: `  podtrail trail deployment/nginx-deployment -n podtrail-demo
  podtrail trail pod/no-limit -n podtrail-demo -v
  podtrail trail trs/web -n podtrail-demo -o yaml`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: o.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "tree", "one of "+strings.Join(outputs, ", "))
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "show the evidence, every write and every fact")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that isn't there
	return cmd
}

// run prints the trail that the arguments ask for.
func (o *trailOptions) run(ctx context.Context, args []string) error {
	kind, name, err := parseReference(args)
	if err != nil {
		return err
	}
	if !slices.Contains(outputs, o.output) {
		return &collect.Problem{
			Code: collect.WrongUse, What: fmt.Sprintf("There is no output %q; there are %s.", o.output, strings.Join(outputs, ", ")),
			Next: "podtrail trail " + kind.Argument + "/" + name + " -o tree",
		}
	}
	cluster, namespace, err := o.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, collect.Timeout)
	defer cancel()
	progress := startProgress(o.streams.ErrOut)
	cluster.Doing = progress.doing
	evidence, err := cluster.Namespace(ctx, namespace, kind)
	if err != nil {
		progress.stop()
		return err
	}
	ref := trail.Subject{Kind: kind.Kind, Namespace: namespace, Name: name}
	found, ok := trail.Build(evidence.Observations).Focus(ref)
	if !ok {
		err = notFound(ctx, cluster, kind, ref, evidence)
	}
	progress.stop()
	if err != nil {
		return err
	}
	if err := o.print(found, evidence.Problems); err != nil {
		return err
	}
	if result := found.Outcome.Result; result == trail.Refused || result == trail.Failed {
		return errPodFailed
	}
	return nil
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

func (o *trailOptions) connectByFlags() (*collect.Cluster, string, error) {
	loader := o.flags.ToRawKubeConfigLoader()
	config, err := collect.Configuration(loader, *o.flags.Context, *o.flags.APIServer)
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

// print writes the trail in the form that was asked for.
func (o *trailOptions) print(t trail.Trail, problems []*collect.Problem) error {
	shown := make([]render.Problem, 0, len(problems))
	for _, p := range problems {
		shown = append(shown, render.Problem{What: p.What, Next: p.Next})
	}
	switch o.output {
	case "json":
		return render.JSON(o.streams.Out, t, shown)
	case "yaml":
		return render.YAML(o.streams.Out, t, shown)
	case "table":
		// Rows alone go to stdout, so that a program can read them.
		for _, p := range shown {
			_, _ = fmt.Fprintf(o.streams.ErrOut, "missing: %s\nnext:    %s\n", p.What, p.Next)
		}
		return render.Table(o.streams.Out, t)
	}
	width, terminal := terminalOf(o.streams.Out)
	return render.Tree(o.streams.Out, t, render.Options{
		Width: width, Verbose: o.verbose, Color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		Problems: shown,
	})
}

// terminalOf returns the width to write for, and whether a terminal shows it. What is no terminal gets 100 columns.
func terminalOf(out io.Writer) (int, bool) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 100, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		return 100, true
	}
	return width, true
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
