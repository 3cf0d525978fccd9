// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	stepsFlag = flag.Int("simulator.steps", 100_000, "run seeds until so many `steps` are done")
	seedFlag  = flag.Uint64("simulator.seed", 0, "replay only this `seed` and print its steps; 0 runs them all")
)

// chaosSteps is how many steps a run takes before its faults end.
const chaosSteps = 250

// run simulates one seed, on one processor: a handler that asks twice for a pass over the same object then does so
// before a worker can take the first request, and how many passes follow is the seed's choice and not the machine's.
func run(t *testing.T, seed uint64, m mutant, echo bool) (w *world) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed, m, echo)
		for n := range w.procs {
			w.procs[n] = newProcess(w, n)
		}
		for _, name := range ownerNames {
			w.server.createOwner(w.makeOwner(name))
		}
		for n := range w.profile.leaders {
			w.lead(n)
		}
		for n := 0; n < chaosSteps && w.failed == nil; n++ {
			w.step()
		}
		if w.failed == nil {
			w.finish()
		}
		w.stop()
	})
	return w
}

// report is what a reader needs of a run that failed.
func report(w *world) string {
	replay := fmt.Sprintf("go test ./test/simulator -run '^TestSimulator$' -v -simulator.seed=%d", w.seed)
	if w.mutant.name != "" {
		replay = fmt.Sprintf("go test ./test/simulator -run '^TestMutants$/^%s$' -v", strings.ReplaceAll(w.mutant.name, " ", "_"))
	}
	tail := w.log[max(0, len(w.log)-60):]
	return fmt.Sprintf("seed %d violates %q: %s\nreplay: %s\nthe last steps:\n%s",
		w.seed, w.failed.invariant, w.failed.detail, replay, strings.Join(tail, "\n"))
}

func TestSimulator(t *testing.T) {
	if *seedFlag != 0 {
		if w := run(t, *seedFlag, mutant{}, true); w.failed != nil {
			t.Fatal(report(w))
		}
		return
	}
	began := time.Now()
	var steps, seeds, writes, excused int
	for seed := uint64(1); steps < *stepsFlag; seed++ {
		w := run(t, seed, mutant{}, false)
		if w.failed != nil {
			t.Fatal(report(w))
		}
		steps, seeds, writes, excused = steps+w.steps, seeds+1, writes+w.oracle.requests, excused+w.oracle.excused
	}
	t.Logf("%d steps in %d seeds, %.0f steps/s; %d writes by the controllers; %d overshoots that only two leaders can make together",
		steps, seeds, float64(steps)/time.Since(began).Seconds(), writes, excused)
}

// TestSameSeed checks that a seed stands for one run: what it reports can be replayed.
func TestSameSeed(t *testing.T) {
	for seed := uint64(1); seed <= 100; seed++ {
		first, second := run(t, seed, mutant{}, false), run(t, seed, mutant{}, false)
		for n := range max(len(first.log), len(second.log)) {
			if n >= len(first.log) || n >= len(second.log) || first.log[n] != second.log[n] {
				t.Fatalf("Two runs of seed %d differ from line %d on:\n%s", seed, n, cmp.Diff(first.log[n:min(n+3, len(first.log))], second.log[n:min(n+3, len(second.log))]))
			}
		}
	}
}
