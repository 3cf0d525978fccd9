// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/docs/stages"
	"podtrail.dev/podtrail/trail"
)

func newExplainStage(streams genericiooptions.IOStreams) *cobra.Command {
	full := false
	cmd := &cobra.Command{
		Use:     "explain-stage N",
		Short:   "Print what happens in one of the stages, and why it matters",
		Long:    "Print the short form of a stage's page in docs/stages. N is the stage's number or name.",
		Example: "  podtrail explain-stage 6\n  podtrail explain-stage persist --full",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for stage := trail.Submit; stage <= trail.Heal; stage++ {
				names = append(names, fmt.Sprintf("%d\t%s", stage, stage))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			stage, err := parseStage(args[0])
			if err != nil {
				return err
			}
			read := stages.Short
			if full {
				read = stages.Page
			}
			text, err := read(stage)
			if err != nil {
				return &collect.Problem{Code: collect.WrongUse, What: err.Error() + ".", Next: "podtrail explain-stage 9", Cause: err}
			}
			if !full {
				text += fmt.Sprintf("\nmore: podtrail explain-stage %d --full, or docs/stages/%02d-%s.md\n", stage, stage, strings.ToLower(stage.String()))
			}
			if _, err := fmt.Fprint(streams.Out, text); err != nil {
				return fmt.Errorf("print: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "print the whole page, as Markdown")
	return cmd
}
