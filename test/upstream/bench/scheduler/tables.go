// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"

	"podtrail.dev/podtrail/test/upstream/bench/tables"
)

// column is one figure of the tables.
type column struct {
	title  string
	format string
	value  func(measurement) float64
}

func perSecond(m measurement) float64     { return float64(m.pods-1) / m.took.Seconds() }
func algorithmMean(m measurement) float64 { return 1000 * m.algorithm.mean() }
func attempt50(m measurement) float64     { return 1000 * m.attempts.quantile(0.5) }
func attempt99(m measurement) float64     { return 1000 * m.attempts.quantile(0.99) }
func perPod(m measurement) float64        { return 1000 * m.used.Controller.Seconds() / float64(m.pods) }
func apiServer(m measurement) float64     { return 1000 * m.used.APIServer.Seconds() / float64(m.pods) }
func peak(m measurement) float64          { return float64(m.used.Peak) / (1 << 20) }

var measured = []column{
	{"Pods/s", "%.0f", perSecond},
	{"attempt p50, ms", "%.1f", attempt50},
	{"attempt p99, ms", "%.1f", attempt99},
	{"algorithm mean, ms", "%.3f", algorithmMean},
	{"scheduler CPU per Pod, ms", "%.2f", perPod},
	{"API server CPU per Pod, ms", "%.2f", apiServer},
	{"peak RSS, MiB", "%.0f", peak},
}

var compared = []column{
	{"Pods/s", "", perSecond},
	{"algorithm mean", "", algorithmMean},
	{"scheduler CPU per Pod", "", perPod},
	{"peak RSS", "", peak},
}

// printTables prints what was measured, and each side as a multiple of upstream
// and of the same program without plugins, round by round: the machine is not
// equally quick in all of them.
func printTables(w io.Writer, results []measurement) {
	cellOf := func(m measurement) string { return m.cell }
	sideOf := func(m measurement) string { return m.side }
	fmt.Fprint(w, tables.Row(append([]string{"cell", "scheduler"}, titles(measured)...)), tables.Rule(2, len(measured)))
	for _, cell := range distinct(results, cellOf) {
		for _, side := range distinct(results, sideOf) {
			some := matching(results, cell, side)
			if len(some) == 0 {
				continue
			}
			texts := []string{cell, side}
			for _, c := range measured {
				texts = append(texts, fmt.Sprintf(c.format, tables.Median(values(some, c.value))))
			}
			fmt.Fprint(w, tables.Row(texts))
		}
	}
	for _, peer := range []string{upstream, plain} {
		fmt.Fprintf(w, "\nAs a multiple of \"%s\": median of the rounds' ratios, lowest to highest in brackets.\n\n", peer)
		fmt.Fprint(w, tables.Row(append([]string{"cell", "scheduler"}, titles(compared)...)), tables.Rule(2, len(compared)))
		for _, cell := range distinct(results, cellOf) {
			for _, side := range distinct(results, sideOf) {
				if side == peer || len(matching(results, cell, side)) == 0 {
					continue
				}
				texts := []string{cell, side}
				for _, c := range compared {
					texts = append(texts, tables.Ratios(ratios(matching(results, cell, side), matching(results, cell, peer), c.value)))
				}
				fmt.Fprint(w, tables.Row(texts))
			}
		}
	}
}

func titles(columns []column) []string {
	var all []string
	for _, c := range columns {
		all = append(all, c.title)
	}
	return all
}

// distinct keeps the order of the first appearance.
func distinct(results []measurement, key func(measurement) string) []string {
	var keys []string
	for _, m := range results {
		if k := key(m); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

func matching(results []measurement, cell, side string) []measurement {
	var some []measurement
	for _, m := range results {
		if m.cell == cell && m.side == side {
			some = append(some, m)
		}
	}
	return some
}

func values(some []measurement, value func(measurement) float64) []float64 {
	var all []float64
	for _, m := range some {
		all = append(all, value(m))
	}
	return all
}

func ratios(mine, theirs []measurement, value func(measurement) float64) []float64 {
	var all []float64
	for _, m := range mine {
		for _, t := range theirs {
			if m.round == t.round && value(t) > 0 {
				all = append(all, value(m)/value(t))
			}
		}
	}
	return all
}
