// SPDX-License-Identifier: Apache-2.0

// Package inspect shows one stage of one object in depth, from the records of a trail: admission, etcd, the node.
package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// page gathers what is written, so that only one write can fail.
type page struct{ bytes.Buffer }

func (p *page) line(format string, args ...any) {
	fmt.Fprintln(&p.Buffer, strings.TrimRight(printable(fmt.Sprintf(format, args...)), " "))
}

// printable turns control characters, which evidence could carry to a terminal, into spaces.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// table writes rows in columns.
func (p *page) table(rows [][]string) {
	w := tabwriter.NewWriter(&p.Buffer, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
		}
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t")) // a buffer takes everything
	}
	_ = w.Flush()
}

// missing says what is not known, why, and how to get it.
func (p *page) missing(what, next string) {
	p.line("not known: %s", what)
	p.line("next: %s", next)
}

func (p *page) to(out io.Writer) error {
	if _, err := out.Write(p.Bytes()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// reference writes a subject as an argument of the command.
func reference(s trail.Subject) string { return strings.ToLower(s.Kind) + "/" + s.Name }

// auditRecord finds the record of a request by its Audit-ID.
func auditRecord(records []source.Record, request trail.Request) (source.Record, bool) {
	for _, record := range records {
		if record.Source != trail.SourceAudit {
			continue
		}
		var event struct {
			AuditID    string `json:"auditID"`
			RequestURI string `json:"requestURI"`
		}
		if json.Unmarshal(record.Data, &event) == nil && event.AuditID == request.AuditID && event.RequestURI == request.URI {
			return record, true
		}
	}
	return source.Record{}, false
}

// facts are the values of a key in the observations, each once, in their order.
func facts(observations []trail.Observation, key string) []string {
	var out []string
	seen := map[string]bool{}
	for _, o := range observations {
		for _, fact := range o.Facts {
			if fact.Key == key && !seen[fact.Value] {
				seen[fact.Value] = true
				out = append(out, fact.Value)
			}
		}
	}
	return out
}

// stageOf returns the entry of a stage, empty if there is none.
func stageOf(entries []trail.Entry, stage trail.Stage) trail.Entry {
	for _, e := range entries {
		if e.Stage == stage {
			return e
		}
	}
	return trail.Entry{Stage: stage}
}

// from keeps the observations of one source.
func from(observations []trail.Observation, name string) []trail.Observation {
	var out []trail.Observation
	for _, o := range observations {
		if o.Evidence.Source == name {
			out = append(out, o)
		}
	}
	return out
}
