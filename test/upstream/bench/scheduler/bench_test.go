// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

func TestQuantile(t *testing.T) {
	h := histogram{count: 100, buckets: []bucket{{1, 50}, {2, 50}, {4, 90}, {math.Inf(1), 100}}}
	tests := map[string]struct{ q, want float64 }{
		"the end of a bucket":       {0.5, 1},
		"the middle of a bucket":    {0.7, 3},
		"past an empty bucket":      {0.51, 2.05},
		"beyond the largest bucket": {0.99, 4},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := h.quantile(tc.q); math.Abs(got-tc.want) > 1e-9 {
				t.Errorf("Got %v, want %v", got, tc.want)
			}
		})
	}
	if got := (histogram{}).quantile(0.5); got != 0 {
		t.Errorf("Of nothing: got %v, want 0", got)
	}
}

const metrics = `# TYPE scheduler_scheduling_attempt_duration_seconds histogram
scheduler_scheduling_attempt_duration_seconds_bucket{profile="bench",result="unschedulable",le="+Inf"} 7
scheduler_scheduling_attempt_duration_seconds_sum{profile="bench",result="unschedulable"} 7
scheduler_scheduling_attempt_duration_seconds_count{profile="bench",result="unschedulable"} 7
scheduler_scheduling_attempt_duration_seconds_bucket{profile="bench",result="scheduled",le="0.001"} 1
scheduler_scheduling_attempt_duration_seconds_bucket{profile="bench",result="scheduled",le="+Inf"} 2
scheduler_scheduling_attempt_duration_seconds_sum{profile="bench",result="scheduled"} 0.5
scheduler_scheduling_attempt_duration_seconds_count{profile="bench",result="scheduled"} 2
# TYPE scheduler_scheduling_algorithm_duration_seconds histogram
scheduler_scheduling_algorithm_duration_seconds_bucket{le="+Inf"} 9
scheduler_scheduling_algorithm_duration_seconds_sum 3
scheduler_scheduling_algorithm_duration_seconds_count 9
`

func TestParse(t *testing.T) {
	attempts, algorithm, err := parse(strings.NewReader(metrics))
	if err != nil {
		t.Fatal(err)
	}
	want := []histogram{
		{count: 2, sum: 0.5, buckets: []bucket{{0.001, 1}, {math.Inf(1), 2}}},
		{count: 9, sum: 3, buckets: []bucket{{math.Inf(1), 9}}},
	}
	if diff := cmp.Diff(want, []histogram{attempts, algorithm}, cmp.AllowUnexported(histogram{}, bucket{})); diff != "" {
		t.Errorf("Histograms (-want +got):\n%s", diff)
	}
	if _, _, err := parse(strings.NewReader("something_else 1\n")); err == nil {
		t.Error("Metrics without attempts were accepted")
	}
}

func TestSides(t *testing.T) {
	sides, err := allSides()
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{upstream, plain} {
		if !slices.ContainsFunc(sides, func(s side) bool { return s.name == wanted }) {
			t.Errorf("No side is called %q, with which others are compared", wanted)
		}
	}
	for _, s := range sides {
		if wantFlags := s.program == "scheduler"; (len(s.flags) > 0) != wantFlags {
			t.Errorf("Side %q has the flags %q; those that say what is recorded: want some: %t", s.name, s.flags, wantFlags)
		}
		file, err := s.write(t.TempDir(), "/the/kubeconfig")
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			ClientConnection struct{ Kubeconfig string }
			LeaderElection   struct{ LeaderElect *bool }
			Profiles         []struct{ SchedulerName string }
		}
		if err := yaml.Unmarshal(content, &got); err != nil {
			t.Fatal(err)
		}
		if got.ClientConnection.Kubeconfig != "/the/kubeconfig" || got.LeaderElection.LeaderElect == nil || *got.LeaderElection.LeaderElect {
			t.Errorf("Side %q is not completed:\n%s", s.name, content)
		}
		if len(got.Profiles) != 1 || got.Profiles[0].SchedulerName != schedulerName {
			t.Errorf("Side %q has the profiles %v, want one that is called %s", s.name, got.Profiles, schedulerName)
		}
	}
}

func TestParseOptions(t *testing.T) {
	given := []string{"-programs=p", "-assets=a", "-crds=c"}
	tests := map[string]struct {
		args    []string
		wantErr string
	}{
		"all that is needed": {args: given},
		"some cells":         {args: append([]string{"-cells=batch,1000"}, given...)},
		"nothing":            {wantErr: "-programs, -assets and -crds are needed"},
		"an unknown cell":    {args: append([]string{"-cells=7"}, given...), wantErr: `unknown "7": there are 1000,5000,batch`},
		"an unknown side":    {args: append([]string{"-sides=x"}, given...), wantErr: `unknown "x"`},
		"no rounds":          {args: append([]string{"-rounds=0"}, given...), wantErr: "-rounds is 0"},
		"no time":            {args: append([]string{"-timeout=0s"}, given...), wantErr: "-timeout is 0s"},
		"an argument":        {args: append(slices.Clone(given), "x"), wantErr: `unknown argument "x"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseOptions(tc.args)
			if tc.wantErr == "" && err == nil {
				return
			}
			if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("Got %v, want a wrong use that names %q", err, tc.wantErr)
			}
		})
	}
}

func TestTables(t *testing.T) {
	var text strings.Builder
	printTables(&text, []measurement{
		{cell: "c", side: upstream, pods: 101, took: time.Second, used: plane.Used{Controller: time.Second, Peak: 100 << 20}},
		{cell: "c", side: plain, pods: 101, took: 2 * time.Second, used: plane.Used{Controller: time.Second, Peak: 200 << 20}},
	})
	for _, want := range []string{
		"| c | upstream | 100 | 0.0 | 0.0 | 0.000 | 9.90 | 0.00 | 100 |\n",
		"| c | ours, without plugins | 0.50 | – | 1.00 | 2.00 |\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("Want the row %q in:\n%s", want, text.String())
		}
	}
}
