// SPDX-License-Identifier: Apache-2.0

// Package admission holds the cases by which the Go functions, the webhooks and
// the CEL policies are compared, and runs them through the functions. The API
// server's columns are in test/integration.
package admission

import (
	_ "embed"
	"encoding/json"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/yaml"
)

//go:embed pods.yaml
var podsYAML []byte

// Operation of a case: what is asked of the API server.
type Operation string

// The operations. All but Create write to a Pod that is stored already.
const (
	Create              Operation = "create"
	Update              Operation = "update"
	Status              Operation = "status"
	Resize              Operation = "resize"
	EphemeralContainers Operation = "ephemeralcontainers"
)

// Verdict of a column.
const (
	Allowed = "allowed"
	// Denied by a rule of ours.
	Denied = "denied"
	// Invalid: refused by the API server's own validation.
	Invalid = "invalid"
)

// Result is what a column answers.
type Result struct {
	// Verdict is Allowed if left out.
	Verdict string `json:"verdict,omitempty"`
	// Message of a denial, its white space made equal.
	Message string `json:"message,omitempty"`
	// Warnings of the project, in their order.
	Warnings []string `json:"warnings,omitempty"`
	// Scheduler, Init (the init containers' names) and Record (the annotation
	// podtrail.dev/injected) are of the Pod that is stored; empty if none is.
	Scheduler string   `json:"scheduler,omitempty"`
	Init      []string `json:"init,omitempty"`
	Record    string   `json:"record,omitempty"`
}

// Difference is how one column departs from what all others answer. Fields left
// out are not compared.
type Difference struct {
	Result
	// Why is required.
	Why string `json:"why"`
}

// User is who asks.
type User struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
}

// Case is one line of the table.
type Case struct {
	Name string `json:"name"`
	// Operation is Create if left out.
	Operation Operation `json:"operation,omitempty"`
	// Namespace is a key of Table.Namespaces; if left out, one that opted in
	// (before its Pods were stored, or after, for operations on stored ones).
	Namespace string `json:"namespace,omitempty"`
	// As is a key of Table.Users, admin if left out.
	As string `json:"as,omitempty"`
	// Persist stores the Pod; all other cases are dry runs.
	Persist bool `json:"persist,omitempty"`
	// Stored changes the base to the Pod that is stored already.
	Stored json.RawMessage `json:"stored,omitempty"`
	// Pod changes the base, or the stored Pod, to what is sent.
	Pod json.RawMessage `json:"pod,omitempty"`
	// Want is the answer of every column without a Difference.
	Want Result `json:"want"`
	// Pure, Policy and Both are the differences of these columns.
	Pure   *Difference `json:"pure,omitempty"`
	Policy *Difference `json:"policy,omitempty"`
	Both   *Difference `json:"both,omitempty"`
}

// Table is the content of pods.yaml.
type Table struct {
	// Define holds only what the cases refer to.
	Define json.RawMessage `json:"define"`
	Base   json.RawMessage `json:"base"`
	// Namespaces have these labels.
	Namespaces map[string]map[string]string `json:"namespaces"`
	Users      map[string]User              `json:"users"`
	Cases      []Case                       `json:"cases"`
}

// Pods returns the table of Pod cases, completed and checked.
func Pods() (*Table, error) {
	var t Table
	if err := yaml.UnmarshalStrict(podsYAML, &t); err != nil {
		return nil, fmt.Errorf("reading pods.yaml: %w", err)
	}
	seen := map[string]bool{}
	for i := range t.Cases {
		c := &t.Cases[i]
		c.complete()
		if err := t.check(c); err != nil {
			return nil, fmt.Errorf("pods.yaml, case %q: %w", c.Name, err)
		}
		if seen[c.Name] {
			return nil, fmt.Errorf("pods.yaml holds two cases %q", c.Name)
		}
		seen[c.Name] = true
	}
	return &t, nil
}

func (c *Case) complete() {
	if c.Operation == "" {
		c.Operation = Create
	}
	if c.Namespace == "" {
		c.Namespace = "opted-in"
		if c.Operation != Create {
			c.Namespace = "late"
		}
	}
	if c.As == "" {
		c.As = "admin"
	}
	for _, verdict := range []*string{&c.Want.Verdict, verdictOf(c.Pure), verdictOf(c.Policy), verdictOf(c.Both)} {
		if verdict != nil && *verdict == "" {
			*verdict = Allowed
		}
	}
}

func verdictOf(d *Difference) *string {
	if d == nil {
		return nil
	}
	return &d.Verdict
}

func (t *Table) check(c *Case) error {
	if _, known := t.Namespaces[c.Namespace]; !known {
		return fmt.Errorf("unknown namespace %q", c.Namespace)
	}
	if _, known := t.Users[c.As]; !known {
		return fmt.Errorf("unknown user %q", c.As)
	}
	for _, d := range []*Difference{c.Pure, c.Policy, c.Both} {
		if d != nil && d.Why == "" {
			return fmt.Errorf("a difference without a reason")
		}
	}
	return nil
}

// Wanted returns what a column must answer: a Difference's fields replace
// those that it names.
func (c *Case) Wanted(d *Difference) Result {
	if d == nil {
		return c.Want
	}
	want := c.Want
	if d.Verdict != want.Verdict {
		want = d.Result // another verdict: nothing of the rest holds
	}
	for _, field := range []struct{ from, to *string }{
		{&d.Message, &want.Message}, {&d.Scheduler, &want.Scheduler}, {&d.Record, &want.Record},
	} {
		if *field.from != "" {
			*field.to = *field.from
		}
	}
	if d.Warnings != nil {
		want.Warnings = d.Warnings
	}
	if d.Init != nil {
		want.Init = d.Init
	}
	return want
}

// StoredPod returns the Pod that the case finds, as JSON; nil if it creates one.
func (t *Table) StoredPod(c *Case) (json.RawMessage, error) {
	if c.Operation == Create {
		return nil, nil
	}
	return merge(t.Base, c.Stored)
}

// SentPod returns the Pod that the case sends, made from the base, or from the
// Pod that is stored.
func (t *Table) SentPod(c *Case, stored json.RawMessage) (json.RawMessage, error) {
	if stored == nil {
		stored = t.Base
	}
	return merge(stored, c.Pod)
}

func merge(pod, change json.RawMessage) (json.RawMessage, error) {
	if len(change) == 0 {
		return pod, nil
	}
	merged, err := jsonpatch.MergePatch(pod, change)
	if err != nil {
		return nil, fmt.Errorf("changing the Pod: %w", err)
	}
	return merged, nil
}
