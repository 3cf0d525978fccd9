// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
)

const (
	// boundTimeout is how long a Pod that goes on is waited for.
	boundTimeout = 15 * time.Second
	boundEvery   = 200 * time.Millisecond
)

func newContinue(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	base := newPodCommand(flags, streams, "continue")
	return base.continueCommand()
}

func (o *podCommand) continueCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "continue pod/NAME",
		Short: "Let a Pod go on that is held in Permit",
		Long: `Let a Pod go on that is held by the annotation podtrail.dev/hold-at: permit. It takes the annotation off the Pod, which
needs the right to patch Pods in its namespace; podtrail-scheduler sees that and binds the Pod.`,
		Example:           `  podtrail continue pod/web-x7k2p -n podtrail-demo`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: o.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.runContinue(cmd.Context(), args) },
	}
}

// runContinue takes the annotation away and waits until the Pod is bound.
func (o *podCommand) runContinue(ctx context.Context, args []string) error {
	name, err := o.podName(args)
	if err != nil {
		return err
	}
	cluster, namespace, err := o.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, collect.Timeout)
	defer cancel()
	reference := "pod/" + name + " -n " + namespace
	pod, err := cluster.Pod(ctx, namespace, name)
	switch {
	case apierrors.IsNotFound(err):
		return &collect.Problem{
			Code: collect.WrongUse, Cause: err, What: fmt.Sprintf("There is no Pod %q in namespace %s.", name, namespace),
			Next: "kubectl get pods -n " + namespace,
		}
	case err != nil:
		return err
	case pod.Spec.NodeName != "":
		return &collect.Problem{
			Code: collect.WrongUse, What: fmt.Sprintf("Pod %s is not held: it is on node %s.", name, pod.Spec.NodeName),
			Next: "podtrail schedule " + reference,
		}
	}
	if _, held := pod.Annotations[holdAnnotationKey]; !held {
		return &collect.Problem{
			Code: collect.WrongUse, What: fmt.Sprintf("Pod %s is not held: it has no annotation %s.", name, holdAnnotationKey),
			Next: "podtrail schedule " + reference,
		}
	}
	if err := cluster.Continue(ctx, pod, holdAnnotationKey); err != nil {
		return err
	}
	node, err := waitUntilBound(ctx, cluster, namespace, name)
	if err != nil {
		return &collect.Problem{
			Code: collect.PodFailed, Cause: err,
			What: fmt.Sprintf("Pod %s is no longer held, but is on no node after %s.", name, boundTimeout),
			Next: "podtrail schedule " + reference,
		}
	}
	if _, err := fmt.Fprintf(o.streams.Out, "%s goes on → %s\nnext: podtrail schedule %s\n", name, node, reference); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

func waitUntilBound(ctx context.Context, cluster *collect.Cluster, namespace, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, boundTimeout)
	defer cancel()
	ticker := time.NewTicker(boundEvery)
	defer ticker.Stop()
	for {
		pod, err := cluster.Pod(ctx, namespace, name)
		if err != nil {
			return "", err
		}
		if pod.Spec.NodeName != "" {
			return pod.Spec.NodeName, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-ticker.C:
		}
	}
}
