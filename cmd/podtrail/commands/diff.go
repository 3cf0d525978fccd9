// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/render"
)

func newDiff(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Print two trails side by side: what differed, at which stage, by how much",
		Long: `Print what differs between the trails of two Pods, stage by stage: how long each took, and what happened in one and not
in the other. A and B are each a recording (a file) or KIND/NAME on the cluster; of a workload it is the Pod that was
Ready last, or that failed.`,
		Example: `  podtrail diff docs/recordings/deployment.jsonl.gz docs/recordings/teachingreplicaset.jsonl.gz
  podtrail diff pod/web-x7k2p pod/web-98zrv -n podtrail-demo`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var sides [2]render.Side
			for i, arg := range args {
				found, err := oneSide(cmd, flags, streams, arg)
				if err != nil {
					return err
				}
				sides[i] = render.Side{Name: arg, Trail: found}
			}
			return render.Diff(streams.Out, sides[0], sides[1], terminalOptions(streams.Out))
		},
	}
}

// oneSide reads a trail from a file if there is one of that name, else from the cluster.
func oneSide(cmd *cobra.Command, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams, arg string) (trail.Trail, error) {
	if info, err := os.Stat(arg); err == nil && !info.IsDir() {
		tape, err := openTape(arg, streams.In)
		if err != nil {
			return trail.Trail{}, err
		}
		return tape.trailOf(nil)
	}
	if !strings.Contains(arg, "/") || strings.Contains(arg, ".jsonl") {
		return trail.Trail{}, &collect.Problem{
			Code: collect.WrongUse, What: fmt.Sprintf("%q is neither a recording's file nor KIND/NAME.", arg),
			Next: "podtrail diff --help",
		}
	}
	kind, name, err := parseReference([]string{arg})
	if err != nil {
		return trail.Trail{}, err
	}
	cluster, namespace, err := connect(flags)
	if err != nil {
		return trail.Trail{}, err
	}
	ref := trail.Subject{Kind: kind.Kind, Namespace: namespace, Name: name}
	found, _, err := readTrail(cmd.Context(), cluster, kind, ref, streams.ErrOut)
	return found, err
}
