// SPDX-License-Identifier: Apache-2.0

// Package diff compares two API objects as decoded JSON, by structure.
package diff

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Op is what happened at a path.
type Op string

// The operations.
const (
	Added   Op = "added"
	Removed Op = "removed"
	Changed Op = "changed"
)

// Change is one difference: a field, or a whole element of a list.
type Change struct {
	Op Op
	// Path names fields with dots and elements of lists by their key or index: spec.containers[app].image.
	Path string
	// Before and After are the values at the path, nil where there is none.
	Before, After any
}

// elementKeys are the fields by which API objects tell the elements of a list apart, the most telling first.
var elementKeys = []string{"mountPath", "name", "containerPort", "topologyKey", "uid", "type", "ip", "key"}

// maxDepth bounds the recursion; no API object is as deep.
const maxDepth = 64

// Compare lists what differs from before to after, by path. Values null, {} and [] count as absent, since encoders
// write or omit them at will.
func Compare(before, after any) []Change {
	var out []Change
	compare("", before, after, maxDepth, &out)
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out
}

func compare(path string, before, after any, depth int, out *[]Change) {
	if depth == 0 || reflect.DeepEqual(before, after) {
		return
	}
	if beforeMap, afterMap, ok := both[map[string]any](before, after); ok {
		compareMaps(path, beforeMap, afterMap, depth, out)
		return
	}
	if beforeList, afterList, ok := both[[]any](before, after); ok {
		compareLists(path, beforeList, afterList, depth, out)
		return
	}
	switch {
	case absent(before) && absent(after):
	case absent(before):
		*out = append(*out, Change{Added, path, nil, after})
	case absent(after):
		*out = append(*out, Change{Removed, path, before, nil})
	default:
		*out = append(*out, Change{Changed, path, before, after})
	}
}

// both returns before and after as values of one shape, where nil stands for an empty one.
func both[T any](before, after any) (b, a T, ok bool) {
	b, okBefore := before.(T)
	a, okAfter := after.(T)
	ok = (okBefore || before == nil) && (okAfter || after == nil) && (okBefore || okAfter)
	return b, a, ok
}

func absent(v any) bool {
	switch typed := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(typed) == 0
	case []any:
		return len(typed) == 0
	}
	return false
}

func compareMaps(path string, before, after map[string]any, depth int, out *[]Change) {
	for key := range union(before, after) {
		compare(join(path, key), before[key], after[key], depth-1, out)
	}
}

func union(a, b map[string]any) map[string]struct{} {
	keys := make(map[string]struct{}, len(a)+len(b))
	for key := range a {
		keys[key] = struct{}{}
	}
	for key := range b {
		keys[key] = struct{}{}
	}
	return keys
}

func join(path, key string) string {
	if strings.ContainsAny(key, ".[]") {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// compareLists matches elements by their key where all have one, else by index. An element that is only on one side
// is one change, however much it holds.
func compareLists(path string, before, after []any, depth int, out *[]Change) {
	label := labels(before, after)
	old, now := byLabel(before, label), byLabel(after, label)
	for name := range union(old, now) {
		element := path + "[" + name + "]"
		was, hadIt := old[name]
		is, hasIt := now[name]
		switch {
		case !hadIt:
			*out = append(*out, Change{Added, element, nil, is})
		case !hasIt:
			*out = append(*out, Change{Removed, element, was, nil})
		default:
			compare(element, was, is, depth-1, out)
		}
	}
}

func byLabel(list []any, label func(int, any) string) map[string]any {
	out := make(map[string]any, len(list))
	for i, element := range list {
		out[label(i, element)] = element
	}
	return out
}

// labels chooses how elements are named: by the first key field that all of both lists have, and uniquely.
func labels(lists ...[]any) func(int, any) string {
	for _, key := range elementKeys {
		if !slices.ContainsFunc(lists, func(list []any) bool { return !identifies(key, list) }) {
			return func(_ int, element any) string { return Label(element, key) }
		}
	}
	return func(i int, _ any) string { return strconv.Itoa(i) }
}

func identifies(key string, list []any) bool {
	seen := map[string]bool{}
	for _, element := range list {
		label := Label(element, key)
		if label == "" || seen[label] {
			return false
		}
		seen[label] = true
	}
	return true
}

// Label returns an element's value of a key field in words, "" if it has none.
func Label(element any, key string) string {
	fields, ok := element.(map[string]any)
	if !ok || fields[key] == nil {
		return ""
	}
	return fmt.Sprint(fields[key])
}
