// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
)

// shownNames bounds how many names a message lists.
const shownNames = 5

// notFound says what there is instead of the name that was asked for: the same name in another namespace, the closest
// name, or the names that exist. While a source can't be read it does not claim that there is no record: a Pod that was
// refused is in the recordings alone. Then the source is what to mend first.
func notFound(ctx context.Context, cluster *collect.Cluster, kind collect.KindInfo, ref trail.Subject, evidence collect.Evidence) error {
	what := fmt.Sprintf("There is no %s %q in namespace %s", kind.Argument, ref.Name, ref.Namespace)
	instead, next := insteadOf(ctx, cluster, kind, ref, evidence)
	if len(evidence.Problems) == 0 {
		return &collect.Problem{Code: collect.WrongUse, What: what + ", and no record of one; " + instead, Next: next}
	}
	var unread []string
	for _, problem := range evidence.Problems {
		unread = append(unread, problem.What)
	}
	return &collect.Problem{
		Code: collect.Unreachable, Next: evidence.Problems[0].Next, Cause: evidence.Problems[0],
		What: what + "; " + instead + "\nWhether there was one is not known, because not everything could be read: " + strings.Join(unread, " "),
	}
}

// insteadOf says what there is, and the command that shows it.
func insteadOf(ctx context.Context, cluster *collect.Cluster, kind collect.KindInfo, ref trail.Subject, evidence collect.Evidence) (instead, next string) {
	command := "podtrail trail " + kind.Argument + "/"
	names := slices.Sorted(slices.Values(evidence.Names[kind.Kind]))
	if elsewhere := cluster.Elsewhere(ctx, kind, ref.Name, ref.Namespace); len(elsewhere) > 0 {
		return "it exists in namespace " + strings.Join(elsewhere, ", ") + ".", command + ref.Name + " -n " + elsewhere[0]
	}
	if closest, ok := collect.Closest(ref.Name, names); ok {
		return "there are " + someOf(names) + "; did you mean " + closest + "?", command + closest + " -n " + ref.Namespace
	}
	switch {
	case len(names) > 0:
		return "there are " + someOf(names) + ".", command + names[0] + " -n " + ref.Namespace
	case !cluster.NamespaceExists(ctx, ref.Namespace):
		return "the namespace does not exist.", "kubectl get namespaces"
	}
	return "there is none of that kind.", "kubectl get " + kind.Resource + " -A"
}

func someOf(names []string) string {
	if len(names) <= shownNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shownNames], ", "), len(names)-shownNames)
}
