// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"sync/atomic"
	"testing"
)

func TestSlowStartBatch(t *testing.T) {
	tests := map[string]struct {
		count, limit, wantCalls int
		wantErr                 bool
	}{
		"all fail":     {count: 10, limit: 0, wantCalls: 1, wantErr: true},
		"all succeed":  {count: 10, limit: 10, wantCalls: 10},
		"some succeed": {count: 10, limit: 5, wantCalls: 1 + 2 + 4, wantErr: true},
		"none wanted":  {count: 0, limit: 0, wantCalls: 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			tried, err := slowStart(tc.count, func(int) error {
				if calls.Add(1) > int64(tc.limit) {
					return errFake
				}
				return nil
			})
			if got := int(calls.Load()); got != tc.wantCalls || tried != got {
				t.Errorf("%d calls were made and %d reported, want %d", got, tried, tc.wantCalls)
			}
			if errors.Is(err, errFake) != tc.wantErr {
				t.Errorf("Got error %v, want one: %v", err, tc.wantErr)
			}
		})
	}
}

// TestInParallel checks the bound, and that every call is made although some fail.
func TestInParallel(t *testing.T) {
	const count, limit = 50, 4
	var running, most, calls atomic.Int64
	err := inParallel(count, limit, func(i int) error {
		now := running.Add(1)
		defer running.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		calls.Add(1)
		if i%2 == 0 {
			return errFake
		}
		return nil
	})
	if !errors.Is(err, errFake) || calls.Load() != count || most.Load() > limit {
		t.Errorf("%d calls, at most %d at the same time, error %v; want %d, %d, %v",
			calls.Load(), most.Load(), err, count, limit, errFake)
	}
}
