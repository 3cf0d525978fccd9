// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strings"

	"podtrail.dev/podtrail/trail/diff"
)

// patchWords says what a webhook's patch does, without values that could be private: names of elements, and scalars
// of fields only outside of env.
func patchWords(c called) string {
	if len(c.Patch) == 0 {
		if c.Mutated {
			return "changed the object (the patch is kept from audit level Request on)"
		}
		return "no change"
	}
	words := make([]string, 0, len(c.Patch))
	for _, operation := range c.Patch {
		words = append(words, operationWords(operation))
	}
	return strings.Join(words, ", ")
}

func operationWords(operation map[string]any) string {
	sign := map[string]string{"add": "+", "remove": "-", "replace": "="}[text(operation, "op")]
	if sign == "" {
		sign = text(operation, "op")
	}
	pointer := text(operation, "path")
	field := lastField(pointer)
	switch value := operation["value"].(type) {
	case string:
		if !strings.Contains(pointer, "/env") && len(value) <= shownValue {
			return field + "=" + value
		}
	case []any:
		names := make([]string, 0, len(value))
		for _, element := range value {
			names = append(names, diff.Label(element, "name"))
		}
		return strings.TrimSpace(sign + " " + field + " " + strings.Join(names, ", "))
	case map[string]any:
		if name := diff.Label(value, "name"); name != "" {
			return sign + " " + field + " " + name
		}
		return strings.TrimSpace(sign + " " + field + " " + strings.Join(sortedKeys(value), ", "))
	}
	return sign + " " + field
}

// shownValue is the longest value of a patch that a line shows.
const shownValue = 40

// lastField is the field that a JSON pointer leads to; of a list's element, the list.
func lastField(pointer string) string {
	segments := strings.Split(pointer, "/")
	for len(segments) > 1 && index.MatchString(segments[len(segments)-1]) {
		segments = segments[:len(segments)-1]
	}
	field := unescape(segments[len(segments)-1])
	if len(segments) > 2 && segments[len(segments)-2] == "annotations" {
		return "annotation " + field
	}
	return field
}

// unescape reads a segment of a JSON pointer, RFC 6901.
func unescape(segment string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(segment)
}

// countWords sums changes up by what a learner knows: elements of lists by their list, and single fields.
func countWords(changes []diff.Change) string {
	if len(changes) == 0 {
		return "no change"
	}
	signs := map[diff.Op]string{diff.Added: "+", diff.Removed: "-", diff.Changed: "~"}
	counts := map[string]int{}
	fields := 0
	for _, change := range changes {
		list, isElement := elementOf(change.Path)
		if isElement && change.Op != diff.Changed {
			counts[signs[change.Op]+" "+list]++
		} else {
			fields++
		}
	}
	var parts []string
	for _, key := range sortedKeys(counts) {
		sign, list, _ := strings.Cut(key, " ")
		parts = append(parts, fmt.Sprintf("%s%d %s", sign, counts[key], plural(list, counts[key])))
	}
	if fields > 0 {
		parts = append(parts, fmt.Sprintf("%d %s set", fields, plural("fields", fields)))
	}
	return strings.Join(parts, ", ")
}

// elementOf returns the name of the list if a path ends in an element of one.
func elementOf(path string) (string, bool) {
	if !strings.HasSuffix(path, "]") {
		return "", false
	}
	list := path[:strings.LastIndexByte(path, '[')]
	return list[strings.LastIndexByte(list, '.')+1:], true
}

func plural(word string, n int) string {
	if n == 1 {
		return strings.TrimSuffix(word, "s")
	}
	return word
}
