// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
)

func newDoctor(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check what a trail needs, and say how to mend what is missing",
		Long: `Check that the API server answers, that podtrail's parts are there and ready, that their recordings can be read with the
permissions at hand, and that each source of evidence is kept and loses nothing. Ends with 3 if something is missing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, _, err := connect(flags)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), collect.Timeout)
			defer cancel()
			findings, err := cluster.Doctor(ctx)
			if err != nil {
				return err
			}
			return printFindings(streams, findings)
		},
	}
}

func printFindings(streams genericiooptions.IOStreams, findings []collect.Finding) error {
	var first *collect.Finding
	wrong := 0
	for _, finding := range findings {
		mark := "✓"
		if finding.Next != "" {
			mark = "✗"
			wrong++
			if first == nil {
				first = &finding
			}
		}
		if _, err := fmt.Fprintf(streams.Out, "%s %s\n", mark, finding.What); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		if finding.Next != "" {
			_, _ = fmt.Fprintf(streams.Out, "  next: %s\n", finding.Next)
		}
	}
	if first == nil {
		return nil
	}
	return &collect.Problem{
		Code: collect.Unreachable, What: fmt.Sprintf("%d of %d checks found something missing.", wrong, len(findings)), Next: first.Next,
	}
}
