// SPDX-License-Identifier: Apache-2.0

// Package commands holds the commands of podtrail and how they end.
package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
)

// errPodFailed ends the command with code PodFailed: what was asked for was printed, and tells of a failure.
var errPodFailed = errors.New("the Pod failed")

// Main runs the command line, whose first argument is the program, and returns the exit code: 0 as asked, from the
// sources that could be read; 1 the Pod failed and its trail was printed; 2 wrong use; 3 nothing could be printed,
// because the cluster or the source that may hold it can't be read (docs/decisions/0008-exit-codes.md).
func Main(version string, args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := NewRoot(args[0], version, genericiooptions.IOStreams{In: in, Out: out, ErrOut: errOut})
	root.SetArgs(args[1:])
	return exitCode(root.ExecuteContext(ctx), errOut)
}

// exitCode says what went wrong, as far as stderr takes it, and returns its code. An error that is no collect.Problem
// comes from cobra and means wrong use.
func exitCode(err error, errOut io.Writer) int {
	var problem *collect.Problem
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errPodFailed):
		return collect.PodFailed
	case errors.As(err, &problem):
		_, _ = fmt.Fprintln(errOut, "podtrail: "+problem.Error())
		return problem.Code
	}
	_, _ = fmt.Fprintf(errOut, "podtrail: %v\nnext: podtrail --help\n", err)
	return collect.WrongUse
}

// NewRoot makes the command. Called as kubectl-podtrail it names itself as kubectl's users call it. Without a version
// it has the one of the module.
func NewRoot(program, version string, streams genericiooptions.IOStreams) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true)
	root := &cobra.Command{
		Use:   "podtrail",
		Short: "Show the whole way of a Pod on a real cluster, from the request to the running container",
		Long: `podtrail shows the way of a Pod: what was sent, who sent it and by which right, what admission changed, what was
stored, who acted on it, where it was scheduled and how it came to run. Every line is backed by evidence that the
cluster itself produced.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	if strings.HasPrefix(filepath.Base(program), "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl podtrail"}
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	flags.AddFlags(root.PersistentFlags())
	root.AddCommand(
		newTrail(flags, version, streams), newApply(flags, version, streams), newDiff(flags, streams),
		newRecord(flags, version, streams), newReplay(streams),
		newAdmission(flags, streams), newEtcd(flags, streams), newRun(flags, streams),
		newSources(flags, streams), newDoctor(flags, version, streams), newExplainStage(streams), newExplain(flags, streams),
		newSchedule(flags, streams), newContinue(flags, streams), newVersion(flags, version, streams),
	)
	return root
}
