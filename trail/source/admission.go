// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/diff"
)

// Prefixes of the annotations that admission leaves, as in k8s.io/apiserver pkg/admission/plugin/webhook.
const (
	patchPrefix      = "patch.webhook.admission.k8s.io/"
	mutationPrefix   = "mutation.webhook.admission.k8s.io/"
	failedOpenMutate = "failed-open.mutation.webhook.admission.k8s.io/"
	failedOpenCheck  = "failed-open.validating.webhook.admission.k8s.io/"
	policyFailureKey = "validation.policy.admission.k8s.io/validation_failure"
	podSecurity      = "pod-security.kubernetes.io/"
)

// called is a mutating webhook's part in one round.
type called struct {
	Configuration string           `json:"configuration"`
	Webhook       string           `json:"webhook"`
	Mutated       bool             `json:"mutated"`
	Patch         []map[string]any `json:"patch"`
	round         string
}

// calls returns the mutating webhooks that were called, in their order. Each leaves a mutation annotation at every
// audit level, and a patch annotation from level Request on.
func (w *write) calls() []called {
	var out []called
	for _, key := range sortedKeys(w.event.Annotations) {
		round, ok := strings.CutPrefix(key, mutationPrefix)
		if !ok {
			continue
		}
		var c called
		if json.Unmarshal([]byte(w.event.Annotations[key]), &c) != nil || c.Webhook == "" {
			continue
		}
		c.round = round
		var patch called
		if json.Unmarshal([]byte(w.event.Annotations[patchPrefix+round]), &patch) == nil {
			c.Patch = patch.Patch
		}
		out = append(out, c)
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	// Shorter first, so that index_10 comes after index_9.
	slices.SortFunc(keys, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return keys
}

// mutate tells what each webhook changed, and what defaults and built-in plugins changed as one difference.
func (w *write) mutate() trail.Observation {
	calls := w.calls()
	var parts []string
	var facts []trail.Fact
	for _, c := range calls {
		said := patchWords(c)
		again := ""
		if !strings.HasPrefix(c.round, "round_0_") {
			again = " called again"
		}
		parts = append(parts, "webhook "+c.Webhook+again+": "+said)
		facts = append(facts, trail.Fact{Key: "webhook " + c.Webhook + " (" + c.round + ")", Value: said})
		if again == "" {
			facts = append(facts, w.notesOf(c.Webhook)...)
		}
	}
	for _, key := range sortedKeys(w.event.Annotations) {
		if strings.HasPrefix(key, failedOpenMutate) {
			parts = append(parts, "webhook "+w.event.Annotations[key]+" failed and was passed over (failurePolicy Ignore)")
			facts = append(facts, trail.Fact{Key: "failed open", Value: w.event.Annotations[key]})
		}
	}
	if len(calls) == 0 {
		parts = append(parts, "no mutating webhook was called")
		facts = append(facts, trail.Fact{Key: "mutating webhooks", Value: "none called"})
	}
	if changes, known := w.builtIn(calls); known {
		who := "built-in plugins"
		if w.event.Verb == "patch" {
			who = "defaults and built-in plugins"
		}
		parts = append([]string{who + ": " + countWords(changes)}, parts...)
		facts = append(facts, changeFacts(who, changes)...)
		if defaults, known := w.defaults(); known {
			parts = append([]string{"defaults: " + countWords(defaults)}, parts...)
			facts = append(facts, changeFacts("defaults", defaults)...)
		}
	} else if w.event.Level == auditv1.LevelMetadata {
		parts = append(parts, "patches and defaults are not known: audit level Metadata keeps no bodies; "+
			levelRemedy(w.subject.Namespace))
		facts = append(facts, trail.Fact{Key: trail.FactAuditLevel, Value: string(w.event.Level)})
	}
	return w.observe(trail.Mutate, strings.Join(parts, "\n"), facts...)
}

func levelRemedy(namespace string) string {
	return "for bodies set level RequestResponse for namespace " + namespace + " in the API server's audit policy"
}

// builtIn is the difference between the body sent and the object stored, less what webhooks patched and what every
// stored object gets. It is known only for whole objects: a patch holds no object to compare with, and neither does
// an object that is updated, whose new body was already defaulted.
func (w *write) builtIn(calls []called) ([]diff.Change, bool) {
	if !w.request.Creates || w.failedAt != 0 || w.sent == nil || w.answered == nil || isStatus(w.answered) {
		return nil, false
	}
	patched := patchedPaths(calls)
	changes := diff.Compare(w.sent, w.answered)
	return slices.DeleteFunc(changes, func(c diff.Change) bool {
		return storeSets(c.Path) || slices.ContainsFunc(patched, func(p *regexp.Regexp) bool { return p.MatchString(c.Path) })
	}), true
}

func changeFacts(who string, changes []diff.Change) []trail.Fact {
	facts := []trail.Fact{{Key: who, Value: countWords(changes)}}
	for _, change := range changes {
		facts = append(facts, trail.Fact{Key: who + " " + string(change.Op), Value: change.Path})
	}
	return facts
}

// defaults is what defaulting set. The API server keeps the body of a create in the audit log as it is after
// defaulting; what was sent before is known if the client noted it in the object, as kubectl apply does.
func (w *write) defaults() ([]diff.Change, bool) {
	noted := text(w.sent, "metadata", "annotations", corev1.LastAppliedConfigAnnotation)
	var before map[string]any
	if w.event.Verb != "create" || noted == "" || json.Unmarshal([]byte(noted), &before) != nil {
		return nil, false
	}
	return slices.DeleteFunc(diff.Compare(before, any(w.sent)), func(c diff.Change) bool {
		return storeSets(c.Path) || strings.HasPrefix(c.Path, "metadata.annotations")
	}), true
}

// storeSets says that a field is set when the object is stored, not by admission.
func storeSets(path string) bool {
	for _, prefix := range []string{
		"status", "metadata.uid", "metadata.resourceVersion", "metadata.creationTimestamp", "metadata.generation",
		"metadata.managedFields", "metadata.name", "metadata.namespace", "apiVersion", "kind",
	} {
		if path == prefix || strings.HasPrefix(path, prefix+".") || strings.HasPrefix(path, prefix+"[") {
			return true
		}
	}
	return false
}

// patchedPaths turns the JSON pointers of the webhooks' patches into patterns for the paths of a diff. An index in
// the middle of a pointer matches any element, because earlier operations may have moved it.
func patchedPaths(calls []called) []*regexp.Regexp {
	var out []*regexp.Regexp
	for _, c := range calls {
		for _, operation := range c.Patch {
			for _, pattern := range pointerPatterns(operation) {
				if compiled, err := regexp.Compile(pattern); err == nil {
					out = append(out, compiled)
				}
			}
		}
	}
	return out
}

var index = regexp.MustCompile(`^(\d+|-)$`)

func pointerPatterns(operation map[string]any) []string {
	pointer := text(operation, "path")
	segments := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if pointer == "" || len(segments) > 64 {
		return nil
	}
	pattern := "^"
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case index.MatchString(segment) && last:
			return elementPatterns(pattern, []any{operation["value"]})
		case index.MatchString(segment):
			pattern += `\[[^]]*\]`
		default:
			if i > 0 {
				pattern += `\.`
			}
			pattern += field(segment)
		}
	}
	if list, ok := operation["value"].([]any); ok && len(list) > 0 {
		return elementPatterns(pattern, list)
	}
	return []string{pattern + `(\.|\[|$)`}
}

// field writes a pointer's segment as a diff's path has it.
func field(segment string) string {
	segment = unescape(segment)
	if strings.ContainsAny(segment, ".[]") {
		segment = fmt.Sprintf("%q", segment)
	}
	return regexp.QuoteMeta(segment)
}

// elementPatterns matches the elements that a patch put into a list: by their names, or any if they have none.
func elementPatterns(list string, elements []any) []string {
	var out []string
	for _, element := range elements {
		name := firstOf(diff.Label(element, "mountPath"), diff.Label(element, "name"))
		if name == "" {
			return []string{list + `\[`}
		}
		out = append(out, list+`\[`+regexp.QuoteMeta(name)+`\]`)
	}
	return out
}
