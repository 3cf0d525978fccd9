// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"fmt"
	"strings"

	"podtrail.dev/podtrail/trail/diff"
)

// Mutation is what one of those who changed a request's object did to it.
type Mutation struct {
	// Who changed it: defaults, built-in plugins, or a webhook with its round.
	Who string
	// Changes are in words, one for each field or patch operation; none means that it left the object as it was.
	Changes []string
}

// Mutations tells from an audit record who changed the object of the request and how, in the order of what the record
// can tell apart: defaults, the built-in plugins as one, then each call of a webhook. An error means that the record
// is no audit event.
func Mutations(record Record) ([]Mutation, error) {
	event, err := decodeAudit(record)
	if err != nil {
		return nil, err
	}
	w, ok := newWrite(event, record.Node)
	if !ok {
		return nil, nil
	}
	var out []Mutation
	if defaults, known := w.defaults(); known {
		out = append(out, Mutation{Who: "defaults", Changes: ChangeWords(defaults)})
	}
	calls := w.calls()
	if changes, known := w.builtIn(calls); known {
		out = append(out, Mutation{Who: "built-in plugins", Changes: ChangeWords(changes)})
	}
	for _, c := range calls {
		m := Mutation{Who: "webhook " + c.Webhook + ", " + c.round}
		for _, operation := range c.Patch {
			m.Changes = append(m.Changes, fmt.Sprintf("%s %s%s", text(operation, "op"), text(operation, "path"), valueWords(operation["value"])))
		}
		out = append(out, m)
	}
	return out, nil
}

// ChangeWords writes changes one by one: + added, - removed, ~ changed, with the values.
func ChangeWords(changes []diff.Change) []string {
	out := make([]string, 0, len(changes))
	for _, c := range changes {
		switch c.Op {
		case diff.Added:
			out = append(out, "+ "+c.Path+valueWords(c.After))
		case diff.Removed:
			out = append(out, "- "+c.Path+valueWords(c.Before))
		case diff.Changed:
			out = append(out, "~ "+c.Path+valueWords(c.Before)+" → "+strings.TrimPrefix(valueWords(c.After), ": "))
		}
	}
	return out
}

// longestValue is how much of a value is shown, in bytes of JSON.
const longestValue = 160

// valueWords writes a value as JSON after a colon, cut off where it is long; nothing for none.
func valueWords(v any) string {
	if v == nil {
		return ""
	}
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	shown := []rune(string(data))
	if len(shown) > longestValue {
		return ": " + string(shown[:longestValue]) + "…"
	}
	return ": " + string(shown)
}
