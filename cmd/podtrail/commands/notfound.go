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
// name, or the names that exist.
func notFound(ctx context.Context, cluster *collect.Cluster, kind collect.KindInfo, ref trail.Subject, evidence collect.Evidence) error {
	p := &collect.Problem{Code: collect.WrongUse}
	command := "podtrail trail " + kind.Argument + "/"
	what := fmt.Sprintf("There is no %s %q in namespace %s, and no record of one", kind.Argument, ref.Name, ref.Namespace)
	names := slices.Sorted(slices.Values(evidence.Names[kind.Kind]))
	if elsewhere := cluster.Elsewhere(ctx, kind, ref.Name, ref.Namespace); len(elsewhere) > 0 {
		p.What = what + "; it exists in namespace " + strings.Join(elsewhere, ", ") + "."
		p.Next = command + ref.Name + " -n " + elsewhere[0]
		return p
	}
	if closest, ok := collect.Closest(ref.Name, names); ok {
		p.What = what + "; there are " + someOf(names) + "; did you mean " + closest + "?"
		p.Next = command + closest + " -n " + ref.Namespace
		return p
	}
	switch {
	case len(names) > 0:
		p.What = what + "; there are " + someOf(names) + "."
		p.Next = command + names[0] + " -n " + ref.Namespace
	case !cluster.NamespaceExists(ctx, ref.Namespace):
		p.What = what + "; the namespace does not exist."
		p.Next = "kubectl get namespaces"
	default:
		p.What = what + "; there is none of that kind."
		p.Next = "kubectl get " + kind.Resource + " -A"
	}
	return p
}

func someOf(names []string) string {
	if len(names) <= shownNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shownNames], ", "), len(names)-shownNames)
}
