// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"podtrail.dev/podtrail/test/upstream/bench/tables"
)

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// column is one figure of the first table.
type column struct {
	title, format string
	value         func(measurement) float64
}

var columns = []column{
	{"p50, ms", "%.2f", func(m measurement) float64 { return milliseconds(m.percentile(.5)) }},
	{"p99, ms", "%.2f", func(m measurement) float64 { return milliseconds(m.percentile(.99)) }},
	{"requests/s", "%.0f", measurement.perSecond},
	{"API server CPU per request, ms", "%.2f", func(m measurement) float64 { return m.perRequest(m.used.APIServer) }},
	{"webhook CPU per request, ms", "%.2f", func(m measurement) float64 { return m.perRequest(m.used.Controller) }},
	{"errors", "%.0f", func(m measurement) float64 { return float64(m.errors) }},
}

// printTables prints each side's medians, and what each adds to no admission of ours: round by round, because the
// machine is not equally quick in all of them.
func printTables(w io.Writer, results []measurement) {
	titles := []string{"at once", "admission"}
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	fmt.Fprint(w, tables.Row(titles), tables.Rule(2, len(columns)))
	each(results, func(concurrent int, side string, some []measurement) {
		texts := []string{fmt.Sprint(concurrent), side}
		for _, c := range columns {
			var values []float64
			for _, m := range some {
				values = append(values, c.value(m))
			}
			texts = append(texts, fmt.Sprintf(c.format, tables.Median(values)))
		}
		fmt.Fprint(w, tables.Row(texts))
	})
	fmt.Fprintf(w, "\nAdded to %q in the same round, in milliseconds: median, lowest to highest in brackets.\n\n", none)
	fmt.Fprint(w, tables.Row([]string{"at once", "admission", "p50", "p99"}), tables.Rule(2, 2))
	each(results, func(concurrent int, side string, some []measurement) {
		if side != none {
			fmt.Fprint(w, tables.Row([]string{
				fmt.Sprint(concurrent), side, formatAdded(added(results, some, .5)), formatAdded(added(results, some, .99)),
			}))
		}
	})
}

// each calls f for each concurrency and side that was measured, in the order of their first appearance.
func each(results []measurement, f func(concurrent int, side string, some []measurement)) {
	var levels []int
	for _, m := range results {
		if !slices.Contains(levels, m.concurrent) {
			levels = append(levels, m.concurrent)
		}
	}
	for _, concurrent := range levels {
		for _, side := range sides {
			if some := matching(results, side, concurrent); len(some) > 0 {
				f(concurrent, side, some)
			}
		}
	}
}

func matching(results []measurement, side string, concurrent int) []measurement {
	var some []measurement
	for _, m := range results {
		if m.side == side && m.concurrent == concurrent {
			some = append(some, m)
		}
	}
	return some
}

// added is by how much some exceed "none" of their round, in milliseconds.
func added(results, some []measurement, share float64) []float64 {
	var all []float64
	for _, m := range some {
		for _, base := range matching(results, none, m.concurrent) {
			if base.round == m.round {
				all = append(all, milliseconds(m.percentile(share)-base.percentile(share)))
			}
		}
	}
	return all
}

func formatAdded(all []float64) string {
	if len(all) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", tables.Median(all), slices.Min(all), slices.Max(all))
}
