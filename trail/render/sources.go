// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"podtrail.dev/podtrail/trail/source"
)

// SourceRow is one source of one keeper.
type SourceRow struct {
	// Keeper is recorder, manager or scheduler, on that node.
	Keeper, Node string
	Status       source.Status
}

// Sources writes one line for each source, by keeper, node and name.
func Sources(out io.Writer, rows []SourceRow, now time.Time) error {
	slices.SortFunc(rows, func(a, b SourceRow) int {
		return cmp.Or(cmp.Compare(a.Keeper, b.Keeper), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Status.Source, b.Status.Source))
	})
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(table, "KEEPER\tNODE\tSOURCE\tKNOWS SINCE\tKEPT\tSIZE\tDROPPED\tNOT NEEDED\tNOT UNDERSTOOD\tSTATE")
	for _, row := range rows {
		s := row.Status
		since := "-"
		if !s.Since.IsZero() {
			since = Duration(max(0, clockOf(s, now).Sub(s.Since))) + " ago"
		}
		state := oneLine(cmp.Or(s.LastError, s.Warning, "ok"))
		_, failed := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%s\n", row.Keeper, row.Node, s.Source, since,
			s.Kept, source.Bytes(s.KeptBytes), s.Dropped, s.Filtered, s.Malformed, state)
		err = errors.Join(err, failed)
	}
	if err = errors.Join(err, table.Flush()); err != nil {
		return fmt.Errorf("write sources: %w", err)
	}
	return nil
}

// clockOf is the time of who keeps the source, now if it does not say.
func clockOf(s source.Status, now time.Time) time.Time {
	if s.Now.IsZero() {
		return now
	}
	return s.Now
}

// Senders writes one line for each sender of spans, by node and name; nothing if no recorder says who sends.
func Senders(out io.Writer, rows []SourceRow) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var err error
	lines := 0
	for _, row := range rows {
		for _, sender := range row.Status.Senders {
			if lines++; lines == 1 {
				_, err = fmt.Fprintln(table, "\nNODE\tSENDER\tSPANS\tFIRST\tLAST\tSTATE")
			}
			state := "connected"
			if !sender.Disconnected.IsZero() {
				state = "no connection for " + Duration(max(0, row.Status.Now.Sub(sender.Disconnected)))
			}
			_, failed := fmt.Fprintf(table, "%s\t%s\t%d\t%s ago\t%s ago\t%s\n", row.Node, sender.Name, sender.Spans,
				Duration(max(0, row.Status.Now.Sub(sender.First))), Duration(max(0, row.Status.Now.Sub(sender.Last))), state)
			err = errors.Join(err, failed)
		}
	}
	if err = errors.Join(err, table.Flush()); err != nil {
		return fmt.Errorf("write senders: %w", err)
	}
	return nil
}
