// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

func milli(numbers ...int) (all []time.Duration) {
	for _, n := range numbers {
		all = append(all, time.Duration(n)*time.Millisecond)
	}
	return all
}

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	cases := map[string]struct {
		latencies []time.Duration
		share     float64
		want      time.Duration
	}{
		"of nothing":          {nil, .5, 0},
		"of one":              {milli(7), .99, 7 * time.Millisecond},
		"the median of 100":   {milli(hundred...), .5, 50 * time.Millisecond},
		"the 99th of 100":     {milli(hundred...), .99, 99 * time.Millisecond},
		"the greatest of all": {milli(hundred...), 1, 100 * time.Millisecond},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := (measurement{latencies: tc.latencies}).percentile(tc.share); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestTables checks that a side is compared with "none" of the same round and concurrency.
func TestTables(t *testing.T) {
	at := func(side string, concurrent, round, latency int) measurement {
		return measurement{side: side, concurrent: concurrent, round: round, latencies: milli(latency, latency), elapsed: time.Second,
			used: plane.Used{APIServer: 6 * time.Millisecond, Controller: 2 * time.Millisecond}}
	}
	var b strings.Builder
	printTables(&b, []measurement{
		at(none, 1, 0, 2), at(none, 8, 0, 10), at(bothWebhooks, 8, 0, 11),
		at(none, 8, 1, 20), at(bothWebhooks, 8, 1, 24), at(none, 8, 2, 10), at(bothWebhooks, 8, 2, 12),
	})
	for _, want := range []string{
		"| 8 | none | 10.00 | 10.00 | 2 | 3.00 | 1.00 | 0 |\n",
		"| 8 | both webhooks | 12.00 | 12.00 | 2 | 3.00 | 1.00 | 0 |\n",
		"| 8 | both webhooks | 2.00 (1.00 to 4.00) | 2.00 (1.00 to 4.00) |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q in:\n%s", want, &b)
		}
	}
}

func TestParseOptions(t *testing.T) {
	given := []string{"-manager=m", "-assets=a", "-config=c"}
	cases := map[string]struct {
		args []string
		want string
	}{
		"what the script gives":  {given, ""},
		"no program":             {nil, "-manager, -assets and -config are needed"},
		"no rounds":              {append(given, "-rounds=0"), "-rounds is 0"},
		"no time":                {append(given, "-duration=0s"), "-duration is 0s"},
		"nothing at once":        {append(given, "-concurrent=8,0"), `-concurrent has "0"`},
		"a word where a flag is": {append(given, "fast"), `unknown argument "fast"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseOptions(tc.args)
			if tc.want == "" && err != nil || tc.want != "" && (!errors.Is(err, errUsage) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error is %v, want %q", err, tc.want)
			}
		})
	}
}
