// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"

	"podtrail.dev/podtrail/test/upstream/bench/tables"
)

// The kinds of requests that are told apart. What the bench itself sends in a cell is none of them.
func podWrites(m measurement) float64 {
	return float64(m.requests.Kinds["POST pods"] + m.requests.Kinds["DELETE pods"] + m.requests.Kinds["PATCH pods"])
}

func statusWrites(m measurement) float64 {
	return float64(m.requests.Kinds["PUT replicasets/status"] + m.requests.Kinds["PUT teachingreplicasets/status"] +
		m.requests.Kinds["PATCH teachingreplicasets/status"])
}

func eventWrites(m measurement) float64 {
	return float64(m.requests.Kinds["POST events"] + m.requests.Kinds["PATCH events"])
}

func otherRequests(m measurement) float64 {
	return float64(m.requests.Sent) - podWrites(m) - statusWrites(m) - eventWrites(m)
}

func refused(m measurement) float64 { return float64(m.requests.Refused) }

// perPod is the number of requests for each Pod, besides events.
func perPod(m measurement) float64 {
	return (float64(m.requests.Sent) - eventWrites(m)) / float64(m.pods)
}

func exist(m measurement) float64     { return m.exist.Seconds() }
func reported(m measurement) float64  { return m.reported.Seconds() }
func processor(m measurement) float64 { return m.used.Controller.Seconds() }
func apiServer(m measurement) float64 { return m.used.APIServer.Seconds() }
func etcd(m measurement) float64      { return m.used.Etcd.Seconds() }
func peak(m measurement) float64      { return float64(m.used.Peak) / (1 << 20) }
func overshoot(m measurement) float64 { return float64(m.overshoot) }

// column is one figure of the tables.
type column struct {
	title  string
	format string
	value  func(measurement) float64
}

var measured = []column{
	{"Pods, s", "%.2f", exist},
	{"status, s", "%.2f", reported},
	{"Pod writes", "%.0f", podWrites},
	{"status writes", "%.0f", statusWrites},
	{"events", "%.0f", eventWrites},
	{"other", "%.0f", otherRequests},
	{"of these refused", "%.0f", refused},
	{"requests per Pod", "%.3f", perPod},
	{"controller CPU, s", "%.2f", processor},
	{"API server CPU, s", "%.2f", apiServer},
	{"etcd CPU, s", "%.2f", etcd},
	{"peak RSS, MiB", "%.0f", peak},
	{"overshoot", "%.0f", overshoot},
}

var compared = []column{
	{"Pods, s", "%.2f", exist},
	{"status, s", "%.2f", reported},
	{"requests per Pod", "%.2f", perPod},
	{"controller CPU", "%.2f", processor},
	{"API server CPU", "%.2f", apiServer},
	{"etcd CPU", "%.2f", etcd},
	{"peak RSS", "%.2f", peak},
}

// printTables prints what was measured, and how ours compares with each of upstream's.
func printTables(w io.Writer, results []measurement) {
	fmt.Fprint(w, tables.Row(append([]string{"cell", "controller"}, titles(measured)...)), tables.Rule(2, len(measured)))
	for _, title := range distinct(results, func(m measurement) string { return m.title }) {
		for _, name := range []string{ours, unlimited, stock} {
			some := matching(results, title, name)
			if len(some) == 0 {
				continue
			}
			texts := []string{title, name}
			for _, c := range measured {
				texts = append(texts, fmt.Sprintf(c.format, tables.Median(values(some, c.value))))
			}
			fmt.Fprint(w, tables.Row(texts))
		}
	}
	for _, peer := range []string{unlimited, stock} {
		if !slices.ContainsFunc(results, func(m measurement) bool { return m.side == peer }) {
			continue
		}
		fmt.Fprintf(w, "\n%s as a multiple of \"%s\": median of the rounds' ratios, lowest to highest in brackets.\n\n", ours, peer)
		fmt.Fprint(w, tables.Row(append([]string{"cell"}, titles(compared)...)), tables.Rule(1, len(compared)))
		for _, title := range distinct(results, func(m measurement) string { return m.title }) {
			texts := []string{title}
			for _, c := range compared {
				texts = append(texts, tables.Ratios(ratios(results, title, peer, c.value)))
			}
			fmt.Fprint(w, tables.Row(texts))
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

func matching(results []measurement, title, name string) []measurement {
	var some []measurement
	for _, m := range results {
		if m.title == title && m.side == name {
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

// ratios compares ours with a peer round by round, because the machine is not equally quick in all of them.
func ratios(results []measurement, title, peer string, value func(measurement) float64) []float64 {
	var all []float64
	for _, mine := range matching(results, title, ours) {
		for _, theirs := range matching(results, title, peer) {
			if mine.round == theirs.round && value(theirs) > 0 {
				all = append(all, value(mine)/value(theirs))
			}
		}
	}
	return all
}
