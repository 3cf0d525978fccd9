// SPDX-License-Identifier: Apache-2.0

// Package buffer holds evidence in memory, bounded in bytes: when room is needed the oldest goes first, and what
// went is counted. It knows nothing of what it holds, so that every source of the recorder can use it.
package buffer

import (
	"iter"
	"sync"
	"time"
)

const (
	// entryOverhead is what an entry costs beside its data, in bytes: the Entry itself and the spare room of the
	// slice that holds it. Counting it keeps a flood of tiny records within the bound too.
	entryOverhead = 128
	// batchEntries and batchBytes bound how much a reader takes while it holds the lock, and so also how much a slow
	// reader keeps from being freed after it has left the buffer.
	batchEntries = 512
	batchBytes   = 256 << 10
)

// Entry is one piece of evidence.
type Entry struct {
	About
	// Data is never changed after Add.
	Data []byte
}

// About says what a piece of evidence is about.
type About struct {
	// Namespace is that of the object; empty for cluster-scoped objects.
	Namespace string
	// Pod is the name of the Pod that it is about and of no other object's way; empty if it is about something else, or
	// does not tell which Pod.
	Pod string
	// Time is when the evidence says it happened, not when it was kept; zero if it does not say.
	Time time.Time
}

// Match says whether a reader wants what is about that.
type Match func(About) bool

// Stats says what a Buffer holds and what it had to give up.
type Stats struct {
	Kept    int
	Bytes   int64
	Dropped int64
	// Since is the time from which on the buffer knows: that of the first entry, or of the last one that had to go.
	// It is zero before the first entry.
	Since time.Time
}

// Buffer is safe for concurrent use. Make one with New.
type Buffer struct {
	limit   int64
	dropped func(Entry)

	mu      sync.Mutex
	entries []Entry // the oldest first
	first   uint64  // how many entries have left before entries[0]; names a position that survives evictions
	stats   Stats
}

// New returns an empty buffer that holds at most limit bytes, the overhead of its entries included.
func New(limit int64) *Buffer {
	return &Buffer{limit: limit}
}

// OnDrop has f called with each entry that goes to make room. It must be set before the first Add, and must not call the
// buffer.
func (b *Buffer) OnDrop(f func(Entry)) { b.dropped = f }

// DropOldest lets the oldest entry go as if room were needed; false if there is none.
func (b *Buffer) DropOldest() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) == 0 {
		return false
	}
	b.dropOldest()
	return true
}

// Add keeps the entry and lets the oldest ones go until the bound holds again. An entry that is larger than the
// whole buffer is dropped itself: it would push out everything else and then not fit.
func (b *Buffer) Add(e Entry) {
	size := sizeOf(e)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stats.Since.IsZero() {
		b.stats.Since = e.Time
	}
	if size > b.limit {
		b.stats.Dropped++
		if b.dropped != nil {
			b.dropped(e)
		}
		return
	}
	for b.stats.Bytes+size > b.limit {
		b.dropOldest()
	}
	b.entries = append(b.entries, e)
	b.stats.Kept++
	b.stats.Bytes += size
}

func (b *Buffer) dropOldest() {
	oldest := b.entries[0]
	b.entries[0] = Entry{} // the array outlives the slice: let the data be freed now
	b.entries = b.entries[1:]
	b.first++
	b.stats.Kept--
	b.stats.Bytes -= sizeOf(oldest)
	b.stats.Dropped++
	b.stats.Since = oldest.Time
	if b.dropped != nil {
		b.dropped(oldest)
	}
}

// Stats returns the present figures.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// Entries yields what the buffer held when the iteration began and match accepts, the oldest first. The lock is held for
// one batch at a time, so a slow reader stops nobody; entries that leave the buffer before the reader gets to them are not
// yielded.
func (b *Buffer) Entries(match Match) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		next, end := b.bounds()
		for next < end {
			var batch []Entry
			batch, next = b.batch(next, end, match)
			for _, e := range batch {
				if !yield(e) {
					return
				}
			}
		}
	}
}

func (b *Buffer) bounds() (first, end uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first, b.first + uint64(len(b.entries))
}

// batch returns the matching entries from position next on, at most one batch of them, and the position after the
// last entry it looked at.
func (b *Buffer) batch(next, end uint64, match Match) ([]Entry, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next = max(next, b.first)
	end = max(min(end, next+batchEntries), next)
	var batch []Entry
	bytes := 0
	for ; next < end && bytes < batchBytes; next++ {
		e := b.entries[next-b.first]
		if match(e.About) {
			batch = append(batch, e)
			bytes += len(e.Data)
		}
	}
	return batch, next
}

func sizeOf(e Entry) int64 {
	return int64(len(e.Data)+len(e.Namespace)+len(e.Pod)) + entryOverhead
}
