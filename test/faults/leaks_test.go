// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestLeaksAreFound checks that a goroutine, and an object, that a controller does not let go are violations, and that
// those of another scenario are not.
func TestLeaksAreFound(t *testing.T) {
	leak, ended := make(chan struct{}), make(chan struct{})
	leaking, clean := &run{namespace: "leaking"}, &run{namespace: "clean"}
	leaking.labelled(t.Context(), func(context.Context) {
		go func() {
			defer close(ended)
			<-leak
		}()
	})
	leaking.remembers(func() int { return 1 })
	clean.remembers(func() int { return 1 })()

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	leaking.checkGoroutines(ctx)
	leaking.checkForgotten(ctx)
	if len(leaking.result.Violations) != 2 || !strings.Contains(leaking.result.Violations[0], "TestLeaksAreFound") {
		t.Errorf("Violations are %q, want one for the goroutine with its stack, and one for the object", leaking.result.Violations)
	}
	clean.checkGoroutines(t.Context())
	clean.checkForgotten(t.Context())
	if len(clean.result.Violations) > 0 {
		t.Errorf("A scenario without leaks has the violations %q", clean.result.Violations)
	}
	close(leak)
	<-ended
	leaking.result.Violations = nil
	leaking.checkGoroutines(t.Context())
	if len(leaking.result.Violations) > 0 {
		t.Errorf("After its end the goroutine still counts: %q", leaking.result.Violations)
	}
}
