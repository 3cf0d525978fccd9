// SPDX-License-Identifier: Apache-2.0

// Package redact takes the values out of evidence that no recording may hold.
package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Redacted stands where a value was.
const Redacted = "<redacted>"

// maxNesting is how deep JSON in strings in JSON is followed; what lies deeper is taken out whole. An audit event
// has three levels: the event, a webhook's patch in an annotation, last-applied-configuration in that patch.
const maxNesting = 5

// namedValues are the lists whose entries have a name, which is kept, and a value, which is not.
var namedValues = map[string]bool{"env": true, "httpHeaders": true}

// podSpecDiff begins the text with which the API server refuses a change to a Pod (ValidatePodUpdate in
// pkg/apis/core/validation of k8s.io/kubernetes); what follows on the next lines is a diff of both specs, with the
// values of their environment.
const podSpecDiff = "may not change fields other than"

// suspicious finds the texts that may hold something to redact; nearly all others pass untouched and unparsed. It
// looks for the start of a JSON key or of the last part of a JSON pointer, and for escapes that could spell one.
var suspicious = regexp.MustCompile(`["/](env|httpHeaders|token)|` + podSpecDiff + `|\\u00`)

// JSON returns an audit event, or any other JSON text that shows objects of the API, without the values of environment
// variables and of probes' HTTP headers, without fields named token, and without the diff of Pod specs that a refused
// update answers. It finds them in objects and lists, in the bodies of patches (JSON, merge, strategic merge and
// apply), in the patches of mutating webhooks and in last-applied-configuration. The field stays, its value becomes "<redacted>"; an empty
// value stays empty. A text that holds nothing of that kind comes back as the same bytes; any other is encoded
// anew, with its keys sorted. Commands and arguments are kept as they are.
func JSON(line []byte) ([]byte, error) {
	if !suspicious.Match(line) {
		return line, nil
	}
	r := redactor{}
	clean, err := r.document(line)
	if err != nil {
		return nil, fmt.Errorf("redacting JSON: %w", err)
	}
	return clean, nil
}

var errTrailing = errors.New("more than one JSON value")

type redactor struct {
	changed bool
	depth   int
}

// document redacts one JSON text; it returns the same bytes if nothing had to go.
func (r *redactor) document(text []byte) ([]byte, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // a resourceVersion or a UID must not pass through a float
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	inner := redactor{depth: r.depth + 1}
	value = inner.value("", value)
	if !inner.changed {
		return text, nil
	}
	r.changed = true
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'}), nil
}

// value redacts what stands under key. The entries of a list stand under the list's key.
func (r *redactor) value(key string, value any) any {
	switch value := value.(type) {
	case map[string]any:
		return r.object(key, value)
	case []any:
		for i := range value {
			value[i] = r.value(key, value[i])
		}
		return value
	case string:
		return r.text(key, value)
	default:
		return value
	}
}

func (r *redactor) object(key string, object map[string]any) any {
	path, isOperation := object["path"].(string)
	_, hasOp := object["op"].(string)
	isOperation = isOperation && hasOp
	for name, member := range object {
		switch {
		case name == "value" && namedValues[key]:
			object[name] = r.secret(member)
		case name == "value" && isOperation:
			object[name] = r.operand(path, member)
		default:
			object[name] = r.value(name, member)
		}
	}
	return object
}

// operand redacts the value of a JSON patch operation, which stands where path points.
func (r *redactor) operand(path string, value any) any {
	parts := strings.Split(path, "/")
	last := parts[len(parts)-1]
	if len(parts) < 3 {
		return r.value(last, value)
	}
	switch list := parts[len(parts)-2]; {
	case namedValues[list]: // /env/0 or /env/-
		return r.value(list, value)
	case last == "value" && namedValues[parts[len(parts)-3]]: // /env/0/value
		return r.secret(value)
	default:
		return r.value(last, value)
	}
}

func (r *redactor) text(key, text string) any {
	switch {
	case key == "token":
		return r.secret(text)
	case strings.Contains(text, podSpecDiff):
		return r.withoutDiff(text)
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		return r.embedded(text)
	default:
		return text
	}
}

// embedded redacts a string that may itself be JSON. One that looks suspicious and cannot be understood goes whole.
func (r *redactor) embedded(text string) any {
	if !suspicious.MatchString(text) {
		return text
	}
	if r.depth >= maxNesting {
		return r.secret(text)
	}
	clean, err := r.document([]byte(text))
	if err != nil {
		return r.secret(text)
	}
	return string(clean)
}

// withoutDiff keeps the first line of what follows podSpecDiff, which names the fields that may change.
func (r *redactor) withoutDiff(text string) any {
	start := strings.Index(text, podSpecDiff)
	end := strings.IndexByte(text[start:], '\n')
	if end < 0 {
		return text
	}
	r.changed = true
	return text[:start+end+1] + Redacted
}

// secret takes a value out; whether there was one stays visible.
func (r *redactor) secret(value any) any {
	if value == nil || value == "" {
		return value
	}
	r.changed = true
	return Redacted
}
