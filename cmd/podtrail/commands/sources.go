// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail/render"
)

func newSources(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "sources",
		Short: "Print what is recorded where: since when, how much is kept, what was dropped",
		Long: `Print each source of evidence of each recorder, manager and scheduler: since when it knows, how many records it keeps and
how large they are, how many had to go to keep its bound, how many no trail can need, and how many could not be
understood. Then print who has sent spans to each recorder: how many, before any was left out, when the last one came,
and whether the sender is connected. Times there are counted by the recorder's own clock.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, _, err := connect(flags)
			if err != nil {
				return err
			}
			return runSources(cmd.Context(), cluster, streams)
		},
	}
}

func runSources(ctx context.Context, cluster *collect.Cluster, streams genericiooptions.IOStreams) error {
	ctx, cancel := context.WithTimeout(ctx, collect.Timeout)
	defer cancel()
	keepers, problems := cluster.Sources(ctx)
	for _, p := range problems {
		_, _ = fmt.Fprintf(streams.ErrOut, "missing: %s\nnext:    %s\n", p.What, p.Next)
	}
	if len(keepers) == 0 && len(problems) > 0 {
		return problems[0]
	}
	rows := sourceRows(keepers)
	if err := render.Sources(streams.Out, rows, time.Now()); err != nil {
		return err
	}
	return render.Senders(streams.Out, rows)
}

func sourceRows(keepers []collect.Keeper) []render.SourceRow {
	var rows []render.SourceRow
	for _, k := range keepers {
		for _, status := range k.Sources {
			rows = append(rows, render.SourceRow{Keeper: k.Component, Node: k.Node, Status: status})
		}
	}
	return rows
}
