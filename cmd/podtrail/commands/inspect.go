// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/inspect"
	"podtrail.dev/podtrail/trail/render"
	"podtrail.dev/podtrail/trail/source"
)

// inspector writes one stage of an object in depth.
type inspector func(out io.Writer, o *trail.Object, records []source.Record) error

func newAdmission(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	return inspection(flags, streams, "admission (POD | KIND/NAME)", "Print who changed an object before it was stored and who judged it (stages 4 and 5)",
		`Print what defaults, built-in plugins and each mutating webhook changed in the object that was sent, in their order and
with the values, and each verdict of what validated it.`, inspect.Admission)
}

func newEtcd(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	return inspection(flags, streams, "etcd (POD | KIND/NAME)", "Print each revision of an object as etcd holds it (stage 6)",
		`Print each stored revision of an object: its key and size, the first bytes beside the decoded envelope, what differs from
the revision before, and whose write stored it.`, inspect.Etcd)
}

func newRun(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	return inspection(flags, streams, "run (POD | pod/NAME)", "Print a Pod as its node sees it (stage 9)",
		`Print the sandbox with its veth pair, address and routes, each container with its namespaces, cgroup and the limits that
became its quota, and the work of kubelet and container runtime, step by step.`,
		func(out io.Writer, o *trail.Object, _ []source.Record) error {
			if o.Subject.Kind != "Pod" {
				return &collect.Problem{
					Code: collect.WrongUse, What: fmt.Sprintf("Only a Pod runs on a node, not a %s.", o.Subject.Kind),
					Next: "podtrail run pod/NAME",
				}
			}
			return inspect.Node(out, o)
		})
}

// inspection makes a command that shows one stage of one object, from the cluster or from a recording.
func inspection(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams, use, short, long string, write inspector) *cobra.Command {
	file := ""
	completion := &trailOptions{show: newShow(streams), flags: flags}
	completion.connect = completion.connectByFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs, ValidArgsFunction: completion.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			args = orPod(args)
			if file != "" {
				return inspectTape(file, args, streams, write)
			}
			kind, name, err := parseReference(args)
			if err != nil {
				return err
			}
			cluster, namespace, err := connect(flags)
			if err != nil {
				return err
			}
			ref := trail.Subject{Kind: kind.Kind, Namespace: namespace, Name: name}
			found, evidence, err := readTrail(cmd.Context(), cluster, kind, ref, streams.ErrOut)
			if err != nil {
				return err
			}
			for _, p := range evidence.Problems {
				_, _ = fmt.Fprintf(streams.ErrOut, "missing: %s\nnext:    %s\n", p.What, p.Next)
			}
			return write(streams.Out, found.Find(found.Subject), evidence.Records)
		},
	}
	cmd.Flags().StringVar(&file, "from", "", "a recording to read instead of the cluster; without an argument its Pod that tells most is shown")
	return cmd
}

// inspectTape shows an object of a recording: the one that the arguments name, else the Pod that tells most.
func inspectTape(file string, args []string, streams genericiooptions.IOStreams, write inspector) error {
	tape, err := openTape(file, streams.In)
	if err != nil {
		return err
	}
	found, err := tape.trailOf(args)
	if err != nil {
		return err
	}
	object := found.Find(found.Subject)
	if pod := render.Telling(found); len(args) == 0 && pod != nil {
		object = pod
	}
	return write(streams.Out, object, tape.evidence.Records)
}
