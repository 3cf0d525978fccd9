// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(second int) time.Time {
	return time.Date(2026, time.November, 22, 12, 0, second, 0, time.UTC)
}

func entry(namespace string, second, size int) Entry {
	return Entry{About: About{Namespace: namespace, Time: at(second)}, Data: []byte(strings.Repeat("x", size))}
}

func everything(About) bool { return true }

func seconds(b *Buffer, match Match) []int {
	got := []int{}
	for e := range b.Entries(match) {
		got = append(got, e.Time.Second())
	}
	return got
}

func TestBufferBound(t *testing.T) {
	const one = 100 + entryOverhead // an entry of 100 bytes without a namespace
	tests := map[string]struct {
		limit       int64
		add         []Entry
		wantSeconds []int
		wantStats   Stats
	}{
		"an empty buffer knows nothing": {
			limit:       one,
			wantSeconds: []int{},
		},
		"what fits exactly stays": {
			limit:       2 * one,
			add:         []Entry{entry("", 1, 100), entry("", 2, 100)},
			wantSeconds: []int{1, 2},
			wantStats:   Stats{Kept: 2, Bytes: 2 * one, Since: at(1)},
		},
		"one byte too many lets the oldest go, and the buffer knows only from then on": {
			limit:       2*one - 1,
			add:         []Entry{entry("", 1, 100), entry("", 2, 100)},
			wantSeconds: []int{2},
			wantStats:   Stats{Kept: 1, Bytes: one, Dropped: 1, Since: at(1)},
		},
		"a large entry lets several go": {
			limit:       3 * one,
			add:         []Entry{entry("", 1, 100), entry("", 2, 100), entry("", 3, 100), entry("", 4, 100+one)},
			wantSeconds: []int{3, 4},
			wantStats:   Stats{Kept: 2, Bytes: 3 * one, Dropped: 2, Since: at(2)},
		},
		"an entry larger than the buffer pushes nothing out": {
			limit:       2 * one,
			add:         []Entry{entry("", 1, 100), entry("", 2, 3*one)},
			wantSeconds: []int{1},
			wantStats:   Stats{Kept: 1, Bytes: one, Dropped: 1, Since: at(1)},
		},
		"the namespace counts": {
			limit:       one,
			add:         []Entry{entry("demo", 1, 100)},
			wantSeconds: []int{},
			wantStats:   Stats{Dropped: 1, Since: at(1)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := New(tc.limit)
			for _, e := range tc.add {
				b.Add(e)
			}
			if diff := cmp.Diff(tc.wantSeconds, seconds(b, everything)); diff != "" {
				t.Errorf("Entries (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantStats, b.Stats()); diff != "" {
				t.Errorf("Stats (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEntriesOfOneNamespace(t *testing.T) {
	b := New(1 << 20)
	b.Add(entry("a", 1, 10))
	b.Add(entry("b", 2, 10))
	b.Add(entry("", 3, 10))
	b.Add(entry("a", 4, 10))
	got := seconds(b, func(of About) bool { return of.Namespace == "a" })
	if diff := cmp.Diff([]int{1, 4}, got); diff != "" {
		t.Errorf("Entries (-want +got):\n%s", diff)
	}
}

// A reader that is slow must neither block writers, nor see what came after it began, nor see an entry twice.
func TestEntriesWhileTheBufferMovesOn(t *testing.T) {
	const total = 3 * batchEntries
	b := New(total * (4 + entryOverhead))
	add := func(i int) { b.Add(Entry{Data: fmt.Appendf(nil, "%04d", i)}) }
	for i := range total {
		add(i)
	}
	var got []string
	for e := range b.Entries(everything) {
		if len(got) == 0 { // the reader has its first batch; now all that it has not yet is pushed out but the last one
			for i := range total - 1 {
				add(total + i)
			}
		}
		got = append(got, string(e.Data))
	}
	if len(got) != batchEntries+1 {
		t.Fatalf("read %d entries, want the first batch of %d and the one that was left", len(got), batchEntries)
	}
	if first, last := got[0], got[len(got)-1]; first != "0000" || last != fmt.Sprintf("%04d", total-1) {
		t.Errorf("read from %s to %s, want from 0000 to %04d", first, last, total-1)
	}
}

func TestEntriesTakesNoMoreThanABatchOfBytes(t *testing.T) {
	b := New(16 << 20)
	for i := range 16 {
		b.Add(entry("", i, batchBytes/2))
	}
	next, end := b.bounds()
	batch, _ := b.batch(next, end, everything)
	if len(batch) != 2 {
		t.Errorf("a batch held %d entries of half a batch each, want 2", len(batch))
	}
	if got := len(seconds(b, everything)); got != 16 {
		t.Errorf("read %d entries, want all 16", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	const writers, each = 4, 2000
	b := New(500 * (10 + entryOverhead))
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for i := range each {
				b.Add(entry("", i%60, 10))
			}
		})
		group.Go(func() {
			for range 20 {
				seconds(b, everything)
				b.Stats()
			}
		})
	}
	group.Wait()
	got := b.Stats()
	if got.Kept != 500 || got.Dropped != writers*each-500 {
		t.Errorf("kept %d and dropped %d, want 500 and %d", got.Kept, got.Dropped, writers*each-500)
	}
}

func TestOnDropIsToldOfAllThatGoes(t *testing.T) {
	const one = 100 + entryOverhead
	b := New(2 * one)
	var dropped []int
	b.OnDrop(func(e Entry) { dropped = append(dropped, e.Time.Second()) })
	b.Add(entry("", 1, 100))
	b.Add(entry("", 2, 100))
	b.Add(entry("", 3, 100))
	b.Add(entry("", 4, 3*one)) // larger than the buffer
	times := 0
	for b.DropOldest() {
		times++
	}
	if times != 2 {
		t.Errorf("DropOldest was true %d times, want as often as there are entries, which is twice", times)
	}
	if diff := cmp.Diff([]int{1, 4, 2, 3}, dropped); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if got := b.Stats(); got.Kept != 0 || got.Bytes != 0 || got.Dropped != 4 {
		t.Errorf("Stats are %+v, want nothing kept and 4 dropped", got)
	}
}
