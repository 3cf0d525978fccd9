// SPDX-License-Identifier: Apache-2.0

// Package tables has what the benchmarks' Markdown tables are made with.
package tables

import (
	"fmt"
	"slices"
	"strings"
)

// Row is a line of a table.
func Row(texts []string) string { return "| " + strings.Join(texts, " | ") + " |\n" }

// Rule is the line below the titles: so many columns of text, then so many of numbers.
func Rule(left, right int) string {
	return "|" + strings.Repeat(" --- |", left) + strings.Repeat(" ---: |", right) + "\n"
}

// Median of no values is 0.
func Median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Ratios writes the median, with the lowest and the highest in brackets.
func Ratios(all []float64) string {
	switch len(all) {
	case 0:
		return "–"
	case 1:
		return fmt.Sprintf("%.2f", all[0])
	default:
		return fmt.Sprintf("%.2f (%.2f–%.2f)", Median(all), slices.Min(all), slices.Max(all))
	}
}
