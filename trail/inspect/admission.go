// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"io"
	"strconv"
	"strings"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// Admission writes stages 4 and 5 of the request that made an object, or was refused: who changed what, in order, and
// each verdict.
func Admission(out io.Writer, o *trail.Object, records []source.Record) error {
	p := &page{}
	request := o.Created
	if !request.Seen() {
		p.line("%s: its creation is not in the audit log that is kept", reference(o.Subject))
		p.missing("who changed the object and who judged it", "podtrail sources, then create the object again")
		return p.to(out)
	}
	p.line("%s  %s by %s, %d, Audit-ID %s", reference(o.Subject), request.Verb, request.User, request.Code, request.AuditID)
	record, ok := auditRecord(records, request.Request)
	var mutations []source.Mutation
	if ok {
		var err error
		if mutations, err = source.Mutations(record); err != nil {
			return err
		}
	}
	p.line("")
	p.line("4 Mutate    in the order in which they were asked; defaults and built-in plugins are known as their sum")
	for _, m := range mutations {
		p.line("")
		p.line("  %s: %s", m.Who, count(len(m.Changes)))
		for _, change := range m.Changes {
			p.line("    %s", change)
		}
	}
	if len(mutations) == 0 {
		p.line("  nothing is known to have changed the object")
	}
	p.observed(stageOf(request.Stages, trail.Mutate), "  time: ", true)
	p.line("")
	p.line("5 Validate")
	p.observed(stageOf(request.Stages, trail.Validate), "  ", false)
	if failed := request.Failed(); failed != nil {
		p.line("  refused at %d %s: %s", failed.Stage, failed.Stage, failed.Failure().Message)
	}
	p.line("")
	p.line("next: podtrail explain-stage 4 · podtrail etcd %s", reference(o.Subject))
	return p.to(out)
}

func count(n int) string {
	switch n {
	case 0:
		return "no change"
	case 1:
		return "1 change"
	}
	return strconv.Itoa(n) + " changes"
}

// observed writes the summaries of a stage; of spans alone if told so.
func (p *page) observed(e trail.Entry, before string, spansOnly bool) {
	for _, obs := range e.Observations {
		if spansOnly && obs.Evidence.Source != trail.SourceSpan {
			continue
		}
		for _, line := range strings.Split(obs.Summary, "\n") {
			p.line("%s%s", before, line)
		}
	}
}
