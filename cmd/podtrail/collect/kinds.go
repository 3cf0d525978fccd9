// SPDX-License-Identifier: Apache-2.0

// Package collect reads from a cluster what a trail is made of: the objects, their events, and the records of the
// recorders.
package collect

import (
	"fmt"
	"slices"
	"strings"
)

// KindInfo is a kind that a trail can be asked for.
type KindInfo struct {
	// Kind is its name in the API, Argument as the command line shows it.
	Kind, Argument string
	// Group and Resource address it.
	Group, Resource string
	// Aliases are further forms that kubectl takes.
	Aliases []string
}

// Kinds are those that a trail follows, in the order of cause.
var Kinds = []KindInfo{
	{Kind: "Deployment", Argument: "deployment", Group: "apps", Resource: "deployments", Aliases: []string{"deploy"}},
	{Kind: "ReplicaSet", Argument: "replicaset", Group: "apps", Resource: "replicasets", Aliases: []string{"rs"}},
	{
		Kind: "TeachingReplicaSet", Argument: "teachingreplicaset", Group: "apps.podtrail.dev",
		Resource: "teachingreplicasets", Aliases: []string{"trs"},
	},
	{Kind: "Pod", Argument: "pod", Resource: "pods", Aliases: []string{"po"}},
}

// ParseKind finds the kind that a word of the command line means: singular, plural, short name, with or without the
// group.
func ParseKind(word string) (KindInfo, error) {
	lower := strings.ToLower(word)
	var words []string
	for _, kind := range Kinds {
		forms := append([]string{kind.Argument, kind.Resource}, kind.Aliases...)
		if kind.Group != "" {
			forms = append(forms, kind.Resource+"."+kind.Group, kind.Argument+"."+kind.Group)
		}
		if slices.Contains(forms, lower) {
			return kind, nil
		}
		words = append(words, append([]string{kind.Argument}, kind.Aliases...)...)
	}
	message := fmt.Sprintf("No trail is kept of kind %q; there are %s", word, listKinds())
	next := "podtrail trail pod/NAME"
	if closest, ok := Closest(lower, words); ok {
		kind, _ := ParseKind(closest)
		message += "; did you mean " + kind.Argument + "?"
		next = "podtrail trail " + kind.Argument + "/NAME"
	}
	return KindInfo{}, &Problem{Code: WrongUse, What: message, Next: next}
}

func listKinds() string {
	names := make([]string, 0, len(Kinds))
	for _, kind := range Kinds {
		names = append(names, kind.Argument+" ("+kind.Aliases[0]+")")
	}
	return strings.Join(names, ", ")
}

// Closest returns the candidate that is most alike, if one is alike at all.
func Closest(word string, candidates []string) (string, bool) {
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(word, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best, best != ""
}

// distance is the Levenshtein distance in bytes. Names in the API are ASCII and at most 253 long.
func distance(a, b string) int {
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		current := make([]int, len(b)+1)
		current[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			current[j+1] = min(previous[j+1]+1, current[j]+1, previous[j]+cost)
		}
		previous = current
	}
	return previous[len(b)]
}
