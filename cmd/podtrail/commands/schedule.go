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
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/render"
)

// What the webhook sets, and what the scheduler's plugin DecisionRecorder goes by.
const (
	podtrailScheduler   = "podtrail-scheduler"
	decisionsLabelKey   = "podtrail.dev/decisions"
	decisionsLabelValue = "enabled"
	holdAnnotationKey   = "podtrail.dev/hold-at"
)

// scheduleOutputs are the values of -o.
const scheduleOutputs = "matrix, json"

// podCommand is what the commands about one Pod have in common.
type podCommand struct {
	*trailOptions
	word string
}

// scheduleOptions are the inputs of podtrail schedule.
type scheduleOptions struct {
	podCommand
	nodes, all bool
	now        func() time.Time
}

func newSchedule(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &scheduleOptions{podCommand: newPodCommand(flags, streams, "schedule"), now: time.Now}
	return o.command()
}

func newPodCommand(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams, word string) podCommand {
	o := &trailOptions{show: newShow(streams), flags: flags}
	o.connect = o.connectByFlags
	return podCommand{trailOptions: o, word: word}
}

func (o *scheduleOptions) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule (POD | pod/NAME)",
		Short: "Print why a Pod came to its node, or what keeps it from every node",
		Long: `Print what podtrail-scheduler decided about a Pod: every node by every plugin, the scores, and why this node. For a Pod
that is on no node: what would have to change on which node, the cheapest change first.

✓ passes, ✗ is refused, · was not asked by the scheduler: with a mark it was evaluated afterwards.

It shows Pods of podtrail-scheduler in namespaces with the label podtrail.dev/decisions: enabled. Exit codes: 0 the
decisions were printed; 1 the same, and the Pod is on no node; 2 wrong use; 3 the cluster or the scheduler can't be read.`,
		Example: `  podtrail schedule pod/web-x7k2p -n podtrail-demo
  podtrail schedule pod/web-x7k2p --all --nodes
  podtrail schedule pod/web-x7k2p -o json`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: o.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "matrix", "one of "+scheduleOutputs)
	cmd.Flags().BoolVar(&o.nodes, "nodes", false, "name every node of a group, and show every node's scores")
	cmd.Flags().BoolVar(&o.all, "all", false, "show every attempt in full, not only the last")
	return cmd
}

// run prints the decisions about the Pod that the arguments name.
func (o *scheduleOptions) run(ctx context.Context, args []string) error {
	name, err := o.podName(args)
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Split(scheduleOutputs, ", "), o.output) {
		return &collect.Problem{
			Code: collect.WrongUse, What: fmt.Sprintf("There is no output %q; there are %s.", o.output, scheduleOutputs),
			Next: "podtrail schedule pod/" + name,
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
	history, err := o.history(ctx, cluster, namespace, name)
	progress.stop()
	if err != nil {
		return err
	}
	if err := o.printHistory(o.streams.Out, history); err != nil {
		return err
	}
	if last := history.Attempts[len(history.Attempts)-1]; last.Outcome != decision.Placed || last.Binding != nil && last.Binding.Outcome != decision.Bound {
		return errPodFailed
	}
	return nil
}

// history reads the records and finds the Pod's: that of the Pod that exists, else of the newest of its name.
func (o *scheduleOptions) history(ctx context.Context, cluster *collect.Cluster, namespace, name string) (decision.History, error) {
	pod, err := recordablePod(ctx, cluster, namespace, name)
	if err != nil {
		return decision.History{}, err
	}
	records, problems, err := cluster.Decisions(ctx, namespace)
	if err != nil {
		return decision.History{}, err
	}
	for _, p := range problems {
		_, _ = fmt.Fprintf(o.streams.ErrOut, "missing: %s\nnext:    %s\n", p.What, p.Next)
	}
	histories := decision.Histories(records)
	for _, h := range slices.Backward(histories) {
		if h.Pod.Name == name && len(h.Attempts) > 0 && (pod == nil || h.Pod.UID == string(pod.UID)) {
			return h, nil
		}
	}
	if pod != nil {
		return decision.History{}, unrecorded(ctx, cluster, pod)
	}
	kind, names := podKind(), map[string][]string{}
	for _, h := range histories {
		names[kind.Kind] = append(names[kind.Kind], h.Pod.Name)
	}
	return decision.History{}, notFound(ctx, cluster, kind, trail.Subject{Kind: kind.Kind, Namespace: namespace, Name: name}, collect.Evidence{Names: names})
}

// recordablePod reads the Pod; it is nil if there is none now, and an error says that its decisions can't be recorded.
func recordablePod(ctx context.Context, cluster *collect.Cluster, namespace, name string) (*corev1.Pod, error) {
	pod, err := cluster.Pod(ctx, namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return pod, recordable(pod)
}

// podKind is what the command line knows about Pods.
func podKind() collect.KindInfo {
	kind, _ := collect.ParseKind("pod") // it is among collect.Kinds
	return kind
}

// recordable says why podtrail's scheduler has nothing about a Pod that it does not schedule.
func recordable(pod *corev1.Pod) error {
	if pod.Spec.SchedulerName == podtrailScheduler {
		return nil
	}
	return &collect.Problem{
		Code: collect.WrongUse,
		What: fmt.Sprintf("Pod %s is scheduled by %s, which records nothing; podtrail-scheduler does.", pod.Name, pod.Spec.SchedulerName),
		Next: fmt.Sprintf("kubectl label namespace %s podtrail.dev/admission=enabled %s=%s, then create the Pod again", pod.Namespace, decisionsLabelKey, decisionsLabelValue),
	}
}

// unrecorded says why there is no record of a Pod that exists.
func unrecorded(ctx context.Context, cluster *collect.Cluster, pod *corev1.Pod) error {
	if !cluster.Asks(ctx, pod.Namespace, decisionsLabelKey, decisionsLabelValue) {
		return &collect.Problem{
			Code: collect.WrongUse,
			What: fmt.Sprintf("Decisions about Pods of namespace %s are not recorded: it has no label %s=%s.", pod.Namespace, decisionsLabelKey, decisionsLabelValue),
			Next: fmt.Sprintf("kubectl label namespace %s %s=%s, then create the Pod again", pod.Namespace, decisionsLabelKey, decisionsLabelValue),
		}
	}
	return &collect.Problem{
		Code: collect.Unreachable,
		What: fmt.Sprintf("podtrail-scheduler has no record of Pod %s: it was scheduled before the scheduler started, or its record had to go to keep the bound (--decisions-bytes).", pod.Name),
		Next: "podtrail trail pod/" + pod.Name + " -n " + pod.Namespace,
	}
}

// podName reads pod/NAME, or NAME alone.
func (o *podCommand) podName(args []string) (string, error) {
	kind, name, err := parseReference(orPod(args))
	if err != nil {
		return "", err
	}
	if kind.Kind != "Pod" {
		return "", &collect.Problem{
			Code: collect.WrongUse, What: fmt.Sprintf("Only Pods are scheduled, not a %s.", kind.Argument),
			Next: fmt.Sprintf("kubectl get pods, then podtrail %s pod/NAME", o.word),
		}
	}
	return name, nil
}

func (o *scheduleOptions) printHistory(out io.Writer, h decision.History) error {
	if o.output == "json" {
		return render.ScheduleJSON(out, h)
	}
	width, terminal := terminalOf(out)
	return render.Schedule(out, h, render.ScheduleOptions{
		Width: width, Color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		Nodes: o.nodes, All: o.all, Now: o.now(),
	})
}
