// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// mostLine bounds one line of the audit log, in bytes; the API server writes no longer ones than a request's and an
// answer's objects.
const mostLine = 16 << 20

// eachEvent calls f for each event of an audit log in JSON lines. A last line that is cut off, because the API server
// is writing it, is left out; any other line that is no event is an error.
func eachEvent(log io.Reader, f func(*auditv1.Event)) error {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, mostLine)
	var broken error
	for n := 1; lines.Scan(); n++ {
		if broken != nil {
			return broken
		}
		event := &auditv1.Event{}
		if err := json.Unmarshal(lines.Bytes(), event); err != nil {
			broken = fmt.Errorf("line %d of the audit log: %w", n, err)
			continue
		}
		f(event)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	return nil
}

// exception says why an account keeps a right that a run may not use.
type exception struct {
	Account string `json:"account"`
	Right   string `json:"right"`
	Reason  string `json:"reason"`
}

// finding is what is said about one right.
type finding struct {
	right  right
	used   bool
	reason string // of an exception
	danger string
}

// judge compares what the account has with what it has used.
func judge(a account, rights []right, used func(right) bool, exceptions []exception) ([]finding, error) {
	var findings []finding
	granted := map[string]bool{}
	for _, r := range rights {
		f := finding{right: r, used: used(r), danger: r.danger()}
		for _, e := range exceptions {
			if e.Account != a.String() || e.Right != r.String() {
				continue
			}
			granted[e.Right] = true
			if !f.used {
				f.reason = e.Reason
			}
		}
		findings = append(findings, f)
	}
	var errs []error
	for _, e := range exceptions {
		switch {
		case e.Account != a.String():
		case e.Reason == "":
			errs = append(errs, fmt.Errorf("the exception %q of %s has no reason", e.Right, a))
		case !granted[e.Right]:
			errs = append(errs, fmt.Errorf("the exception %q of %s is not needed: the right is not granted", e.Right, a))
		}
	}
	return findings, errors.Join(errs...)
}

// printFindings writes what was found and returns the number of problems.
func printFindings(w io.Writer, a account, events int, findings []finding) (problems int) {
	count := func(is func(finding) bool) (n int) {
		for _, f := range findings {
			if is(f) {
				n++
			}
		}
		return n
	}
	unused := func(f finding) bool { return !f.used && f.reason == "" }
	dangerous := func(f finding) bool { return f.danger != "" }
	fmt.Fprintf(w, "%s: %d requests; %d rights, %d used, %d not used by an exception, %d not used, %d dangerous\n", a, events, len(findings),
		count(func(f finding) bool { return f.used }), count(func(f finding) bool { return f.reason != "" }), count(unused), count(dangerous))
	slices.SortStableFunc(findings, func(a, b finding) int {
		return strings.Compare(a.right.role+a.right.String(), b.right.role+b.right.String())
	})
	for _, f := range findings {
		if unused(f) {
			fmt.Fprintf(w, "  not used: %s (%s)\n", f.right, f.right.role)
			problems++
		}
		if f.reason != "" {
			fmt.Fprintf(w, "  not used, excepted: %s: %s\n", f.right, f.reason)
		}
		if dangerous(f) {
			fmt.Fprintf(w, "  dangerous: %s (%s): %s\n", f.right, f.right.role, f.danger)
			problems++
		}
	}
	return problems
}
