// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/controllers/replicas"
)

func newExplain(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "explain trs/NAME",
		Short: "Print what the TeachingReplicaSet controller would do now, and why",
		Long: `Print what the TeachingReplicaSet controller would do with an object as it is now: how many Pods it wants and has, what
each Pod is to it, which Pods it would make, and in which order Pods would be deleted, with the rule that places each
before the next. It runs the controller's own code and changes nothing.`,
		Example: `  podtrail explain trs/web -n podtrail-demo`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, err := parseReference(args)
			if err != nil {
				return err
			}
			if kind.Kind != podtrailv1alpha1.Kind {
				return &collect.Problem{
					Code: collect.WrongUse, What: "Only a TeachingReplicaSet can be explained, not a " + kind.Argument + ".",
					Next: "podtrail trail " + kind.Argument + "/" + name,
				}
			}
			return runExplain(cmd.Context(), flags, streams.Out, name)
		},
	}
}

func runExplain(ctx context.Context, flags *genericclioptions.ConfigFlags, out io.Writer, name string) error {
	loader := flags.ToRawKubeConfigLoader()
	config, err := collect.Configuration(loader, *flags.Context, *flags.APIServer)
	if err != nil {
		return err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return fmt.Errorf("find the namespace: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, podtrailv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("register the API types: %w", err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return unreadable(err, config.Host, namespace)
	}
	ctx, cancel := context.WithTimeout(ctx, collect.Timeout)
	defer cancel()
	seen, err := observe(ctx, c, namespace, name)
	if err != nil {
		return unreadable(err, config.Host, namespace)
	}
	return printExplanation(out, seen)
}

// unreadable says what can be done about an error of the API.
func unreadable(err error, server, namespace string) error {
	p := &collect.Problem{
		Code: collect.Unreachable, Cause: err,
		What: fmt.Sprintf("The cluster at %s can't be read: %v.", server, err), Next: "kubectl cluster-info",
	}
	switch {
	case apierrors.IsNotFound(err):
		p.Code, p.What = collect.WrongUse, fmt.Sprintf("In namespace %s: %v.", namespace, err)
		p.Next = "kubectl get teachingreplicasets -n " + namespace
	case apierrors.IsForbidden(err):
		p.Code, p.Next = collect.WrongUse, "kubectl auth can-i list pods -n "+namespace
	}
	return p
}

// observe reads what the controller has in its cache, but for the writes that it has not yet seen.
func observe(ctx context.Context, c client.Reader, namespace, name string) (*replicas.Observation, error) {
	owner := &podtrailv1alpha1.TeachingReplicaSet{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, owner); err != nil {
		return nil, fmt.Errorf("read the object: %w", err)
	}
	selector, err := metav1.LabelSelectorAsSelector(&owner.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("read spec.selector: %w", err)
	}
	var siblings podtrailv1alpha1.TeachingReplicaSetList
	var pods corev1.PodList
	for _, list := range []client.ObjectList{&siblings, &pods} {
		if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("list in namespace %s: %w", namespace, err)
		}
	}
	seen := &replicas.Observation{Owner: owner, Selector: selector, Now: time.Now()}
	names := map[string]bool{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		names[pod.Name] = true
		seen.Pods = append(seen.Pods, pod)
		if controlledBySibling(pod, owner, siblings.Items) {
			seen.Related = append(seen.Related, pod)
		}
	}
	seen.NameTaken = func(name string) bool { return names[name] }
	return seen, nil
}

// controlledBySibling reports whether one of the objects that owner's controller controls, owner included, controls
// the Pod.
func controlledBySibling(pod *corev1.Pod, owner *podtrailv1alpha1.TeachingReplicaSet, all []podtrailv1alpha1.TeachingReplicaSet) bool {
	of := metav1.GetControllerOfNoCopy(owner)
	if of == nil {
		return false
	}
	return slices.ContainsFunc(all, func(s podtrailv1alpha1.TeachingReplicaSet) bool {
		ref := metav1.GetControllerOfNoCopy(&s)
		return ref != nil && ref.UID == of.UID && metav1.IsControlledBy(pod, &s)
	})
}

// holds says of each hold what it means.
var holds = map[replicas.Hold]string{
	replicas.HoldDeleted: "it is being deleted; its Pods are left to the garbage collector",
	replicas.HoldPaused:  "spec.paused is set",
}

// printExplanation prints the plan, then the Pods: those that would go first first, then the others by name.
func printExplanation(out io.Writer, seen *replicas.Observation) error {
	claims := replicas.ClaimPods(seen)
	active := slices.Concat(claims.Active, claims.Adopt)
	plan := replicas.MakePlan(seen, active)
	// A tabwriter passes on an error of its output when it is flushed.
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintf(w, "%s/%s wants %d and has %d.\n%s\n", seen.Owner.Namespace, seen.Owner.Name, plan.Desired, plan.Current, decisionWords(plan))
	if len(seen.Pods) > len(claims.Ignored) {
		_, _ = fmt.Fprintln(w, "\nPOD\tVERDICT\tGOES\tBEFORE THE NEXT BECAUSE")
	}
	lists := map[string]string{}
	for name, pods := range map[string][]*corev1.Pod{
		"Active": claims.Active, "Adopt": claims.Adopt, "Release": claims.Release,
		"Terminating": claims.Terminating, "Finished": claims.Finished,
	} {
		for _, pod := range pods {
			lists[pod.Name] = name
		}
	}
	for i, deletion := range replicas.DeletionOrder(active, seen.Related, seen.Now) {
		when := "no"
		if i < len(plan.Delete) {
			when = "now"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", deletion.Pod.Name, lists[deletion.Pod.Name], when, cmp.Or(deletion.Rule.String(), "-"))
	}
	others := slices.Concat(claims.Release, claims.Terminating, claims.Finished)
	slices.SortFunc(others, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	for _, pod := range others {
		_, _ = fmt.Fprintf(w, "%s\t%s\t-\t-\n", pod.Name, lists[pod.Name])
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// decisionWords says in a sentence what the plan does.
func decisionWords(plan replicas.Plan) string {
	switch {
	case plan.Hold != "":
		return "It does nothing: " + holds[plan.Hold] + "."
	case len(plan.Create) > 0:
		return fmt.Sprintf("It creates %d: %s.", len(plan.Create), someOf(plan.Create))
	case len(plan.Delete) > 0:
		names := make([]string, 0, len(plan.Delete))
		for _, deletion := range plan.Delete {
			names = append(names, deletion.Pod.Name)
		}
		return fmt.Sprintf("It deletes %d: %s.", len(names), someOf(names))
	default:
		return "There is nothing to do."
	}
}
