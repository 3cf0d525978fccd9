// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"fmt"
	"testing"
	"time"

	"podtrail.dev/podtrail/trail/source"
)

// TestProbesAreBounded: whoever is authenticated may send them, so only the last ones are remembered.
func TestProbesAreBounded(t *testing.T) {
	s := New(source.Audit, "n", 1<<20)
	at := time.Date(2026, time.May, 4, 10, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return at }
	for n := range 3 * maxProbes {
		s.Probed(fmt.Sprintf("probe-%d", n), at.Add(-time.Second))
	}
	got := s.Status()
	if len(got.Probes) != maxProbes || got.Kept != 0 {
		t.Fatalf("%d probes and %d records, want %d and none", len(got.Probes), got.Kept, maxProbes)
	}
	want := source.Probe{AuditID: fmt.Sprintf("probe-%d", 3*maxProbes-1), Received: at.Add(-time.Second), Arrived: at}
	if last := got.Probes[maxProbes-1]; last != want {
		t.Errorf("the last one is %+v, want %+v", last, want)
	}
	if !got.Now.Equal(at) {
		t.Errorf("now is %v, want the store's clock, %v", got.Now, at)
	}
}
