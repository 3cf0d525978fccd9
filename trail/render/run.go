// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strings"

	"podtrail.dev/podtrail/trail"
)

// runLines says what happened on the node, each thing once and with its newest value.
func runLines(e trail.Entry, o *trail.Object) []said {
	var out []said
	where := newest(e, trail.FactNode)
	for _, key := range []string{trail.FactHostIP, trail.FactPodIP} {
		if ip := newest(e, key); ip != "" {
			where += ", " + key + " " + ip
		}
	}
	if where != "" {
		out = append(out, said{text: where + networkWords(e)})
	}
	out = append(out, pullLines(e)...)
	if containers := containerLines(e); containers != "" {
		out = append(out, said{text: containers})
	}
	writes := 0
	for _, obs := range e.Observations {
		if obs.Evidence.Source == trail.SourceAudit {
			writes++
		}
	}
	if o.State == nil || !o.State.Ready {
		return out
	}
	text := "Ready"
	if e.Took > 0 {
		text += " " + Duration(e.Took) + " after the Binding"
	} else if ready := newest(e, trail.FactReady); ready != "" {
		text += " " + strings.TrimPrefix(ready, "True ")
	}
	if writes > 0 {
		text += fmt.Sprintf("; %d status writes by the kubelet", writes)
	}
	return append(out, said{text: text, color: green})
}

// networkWords says when sandbox and network were ready, if the audit log has the kubelet's write that says so first.
func networkWords(e trail.Entry) string {
	for _, obs := range e.Observations {
		value, ok := obs.Fact(trail.FactReadyToStart)
		if ok && strings.HasPrefix(value, "True") && obs.Evidence.Source == trail.SourceAudit && !e.At.IsZero() {
			return "; sandbox and network ready after " + Duration(max(0, obs.Time.Sub(e.At)))
		}
	}
	return ""
}

// newest is the value of a fact in the latest observation that has it.
func newest(e trail.Entry, key string) string {
	value := ""
	for _, obs := range e.Observations {
		if v, ok := obs.Fact(key); ok {
			value = v
		}
	}
	return value
}

// pullLines says for each image how it came to the node.
func pullLines(e trail.Entry) []said {
	byText := map[string][]string{}
	var order []string
	for _, obs := range e.Observations {
		image, ok := obs.Fact(trail.FactImage)
		pull, told := obs.Fact(trail.FactPull)
		if !ok || !told {
			continue // spans and OCI specifications name the image as well
		}
		if obs.Duration > 0 {
			_, size, _ := strings.Cut(pull, " ")
			pull = "pulled in " + Duration(obs.Duration) + " " + size
		}
		text := "image " + shortImage(image) + ": " + pull
		if byText[text] == nil {
			order = append(order, text)
		}
		container, _ := obs.Fact(trail.FactContainer)
		byText[text] = append(byText[text], container)
	}
	slices.Sort(order)
	var out []said
	for _, text := range order {
		names := slices.Compact(slices.Sorted(slices.Values(byText[text])))
		out = append(out, said{text: text + " for " + strings.Join(names, ", ")})
	}
	return out
}

// shortImage leaves of a digest as much as tells it apart.
func shortImage(image string) string {
	name, digest, found := strings.Cut(image, "@sha256:")
	if !found || len(digest) < 8 {
		return image
	}
	return name + "@" + digest[:8] + "…"
}

// containerLines says what each container does now.
func containerLines(e trail.Entry) string {
	states := map[string]string{}
	var order []string
	for _, obs := range e.Observations {
		for _, fact := range obs.Facts {
			name, ok := strings.CutPrefix(fact.Key, trail.FactContainer+" ")
			if !ok || fact.Key == trail.FactContainerID {
				continue
			}
			if _, seen := states[name]; !seen {
				order = append(order, name)
			}
			states[name] = fact.Value
		}
	}
	slices.Sort(order)
	parts := make([]string, 0, len(order))
	for _, name := range order {
		parts = append(parts, name+" "+states[name])
	}
	return strings.Join(parts, " · ")
}
