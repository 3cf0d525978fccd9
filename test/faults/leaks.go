// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
)

// goroutineLabel marks the goroutines of a scenario's controllers. What a goroutine starts inherits its labels, so
// scenarios that run at the same time do not count each other's.
const goroutineLabel = "faults-scenario"

// labelled runs fn in this goroutine so that it, and all that it starts, can be counted.
func (r *run) labelled(ctx context.Context, fn func(context.Context)) {
	pprof.Do(ctx, pprof.Labels(goroutineLabel, r.namespace), fn)
}

// checkGoroutines waits until the controllers, which have been asked to end, have left no goroutine behind.
func (r *run) checkGoroutines(ctx context.Context) {
	var left []string
	err := until(ctx, leakTimeout, func() (bool, error) {
		profile := &bytes.Buffer{}
		if err := pprof.Lookup("goroutine").WriteTo(profile, 1); err != nil {
			return false, fmt.Errorf("listing the goroutines: %w", err)
		}
		left = withLabel(profile.String(), r.namespace)
		return len(left) == 0, nil
	})
	if err != nil {
		r.violate("%s after its end the controller still had goroutines (%v), for example:\n%s", leakTimeout, err, left[0])
	}
}

// withLabel returns the stacks of a goroutine profile that carry the scenario's label.
func withLabel(profile, scenario string) []string {
	var found []string
	for stack := range strings.SplitSeq(profile, "\n\n") {
		mark := fmt.Sprintf("%q:%q", goroutineLabel, scenario)
		if strings.Contains(stack, mark) {
			found = append(found, stack)
		}
	}
	return found
}

// remembers notes how to ask a controller of how many objects it remembers something. It returns what ends the asking.
func (r *run) remembers(count func() int) (forget func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := len(r.memories)
	r.memories = append(r.memories, count)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.memories[id] = func() int { return 0 }
	}
}

// checkForgotten waits until no controller remembers anything of the owner, which is gone.
func (r *run) checkForgotten(ctx context.Context) {
	left := 0
	err := until(ctx, leakTimeout, func() (bool, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		left = 0
		for _, count := range r.memories {
			left += count()
		}
		return left == 0, nil
	})
	if err != nil {
		r.violate("%s after its only object had gone the controller remembered %d", leakTimeout, left)
	}
}
