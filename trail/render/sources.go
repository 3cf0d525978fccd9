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
			since = Duration(max(0, now.Sub(s.Since))) + " ago"
		}
		state := "ok"
		if s.LastError != "" {
			state = oneLine(s.LastError)
		}
		_, failed := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%s\n", row.Keeper, row.Node, s.Source, since,
			s.Kept, source.Bytes(s.KeptBytes), s.Dropped, s.Filtered, s.Malformed, state)
		err = errors.Join(err, failed)
	}
	if err = errors.Join(err, table.Flush()); err != nil {
		return fmt.Errorf("write sources: %w", err)
	}
	return nil
}
