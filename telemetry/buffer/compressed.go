// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"bytes"
	"compress/flate"
	"io"
	"iter"
	"slices"
	"sync"
	"time"
)

const (
	// blockBytes is how much is packed at once. Records of one source repeat each other, so that a larger block packs
	// better; a reader unpacks one whole block at a time.
	blockBytes = 256 << 10
	// blockEntries bounds a block of tiny records.
	blockEntries = 4096
	// packedOverhead is what an entry of a packed block costs beside its packed data, in bytes: its packedEntry.
	packedOverhead = 24
	// blockOverhead is what a block costs beside its entries and subjects, in bytes: the struct.
	blockOverhead = 512
	// subjectOverhead is what a subject costs beside its texts, in bytes.
	subjectOverhead = 32
)

// Compressed is a Buffer that packs what it holds, so that the same memory holds several times as much. Entries leave
// it a block at a time, the oldest block first. It is safe for concurrent use. Make one with NewCompressed.
type Compressed struct {
	limit     int64
	blockSize int

	mu     sync.Mutex
	blocks []*block // the oldest first
	first  uint64   // how many blocks have left before blocks[0]
	open   []Entry  // not packed yet, newer than all blocks
	stats  Stats
	openB  int64
	pack   *flate.Writer
}

// block is a run of entries whose data was packed together; it never changes.
type block struct {
	subjects []subject
	entries  []packedEntry
	packed   []byte
	size     int // of the data, unpacked
	cost     int64
}

// subject is what an About holds beside the time; the entries of a block share a few.
type subject struct{ namespace, pod string }

type packedEntry struct {
	time    int64 // nanoseconds since 1970; minInt64 for the zero time
	length  int32
	subject int32 // index in the block's subjects
}

// NewCompressed returns an empty buffer that holds at most limit bytes, packed and with the overhead of its entries.
func NewCompressed(limit int64) *Compressed {
	writer, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return &Compressed{limit: limit, blockSize: int(min(blockBytes, limit/4)), pack: writer}
}

// Add keeps the entry and lets the oldest blocks go until the bound holds again. An entry that alone is larger than
// the whole buffer is dropped itself.
func (b *Compressed) Add(e Entry) {
	size := sizeOf(e)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stats.Since.IsZero() {
		b.stats.Since = e.Time
	}
	if size > b.limit {
		b.stats.Dropped++
		return
	}
	b.open = append(b.open, e)
	b.openB += size
	b.stats.Kept++
	b.stats.Bytes += size
	if b.openB >= int64(b.blockSize) || len(b.open) >= blockEntries {
		b.seal()
	}
	for b.stats.Bytes > b.limit && len(b.blocks) > 0 {
		b.dropOldest()
	}
}

// seal packs the open entries into a block.
func (b *Compressed) seal() {
	var packed bytes.Buffer
	b.pack.Reset(&packed)
	sealed := &block{entries: make([]packedEntry, 0, len(b.open))}
	known := map[subject]int32{}
	for _, e := range b.open {
		of := subject{namespace: e.Namespace, pod: e.Pod}
		at, ok := known[of]
		if !ok {
			at = int32(len(sealed.subjects)) //nolint:gosec // bounded by blockEntries
			known[of] = at
			sealed.subjects = append(sealed.subjects, of)
		}
		sealed.entries = append(sealed.entries, packedEntry{time: packTime(e.Time), length: int32(len(e.Data)), subject: at}) //nolint:gosec // bounded by the limit
		sealed.size += len(e.Data)
		must(b.pack.Write(e.Data))
	}
	must(0, b.pack.Close())
	sealed.packed = bytes.Clone(packed.Bytes()) // without the spare room that the buffer grew
	sealed.cost = int64(len(sealed.packed)+len(sealed.entries)*packedOverhead) + blockOverhead
	for _, of := range sealed.subjects {
		sealed.cost += int64(len(of.namespace)+len(of.pod)) + subjectOverhead
	}
	b.stats.Bytes += sealed.cost - b.openB
	b.blocks = append(b.blocks, sealed)
	b.open, b.openB = nil, 0
}

// must is for writes to memory, which cannot fail.
func must(_ int, err error) {
	if err != nil {
		panic(err)
	}
}

func packTime(t time.Time) int64 {
	if t.IsZero() {
		return minTime
	}
	return t.UnixNano()
}

func unpackTime(n int64) time.Time {
	if n == minTime {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

const minTime = -1 << 63

func (b *Compressed) dropOldest() {
	oldest := b.blocks[0]
	b.blocks[0] = nil // the array outlives the slice: let the data be freed now
	b.blocks = b.blocks[1:]
	b.first++
	b.stats.Kept -= len(oldest.entries)
	b.stats.Bytes -= oldest.cost
	b.stats.Dropped += int64(len(oldest.entries))
	b.stats.Since = unpackTime(oldest.entries[len(oldest.entries)-1].time)
}

// Stats returns the present figures; Bytes is what is held, packed.
func (b *Compressed) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// Entries yields what the buffer held when the iteration began and match accepts, the oldest first. It unpacks one block
// at a time, and none in which nothing is wanted, so a slow reader stops nobody and keeps one block from being freed.
func (b *Compressed) Entries(match Match) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		next, end, open := b.bounds()
		for next < end {
			var at *block
			at, next = b.block(next, end)
			if at != nil && !at.yield(match, yield) {
				return
			}
		}
		for _, e := range open {
			if match(e.About) && !yield(e) {
				return
			}
		}
	}
}

// bounds returns the positions of the blocks there are, and the open entries, which are at most one block.
func (b *Compressed) bounds() (first, end uint64, open []Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first, b.first + uint64(len(b.blocks)), slices.Clone(b.open)
}

// block returns the first block from a position on that is still there, and the position after it; nil if none before
// end is.
func (b *Compressed) block(next, end uint64) (*block, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next = max(next, b.first)
	if next >= end {
		return nil, end
	}
	return b.blocks[next-b.first], next + 1
}

func (k *block) about(e packedEntry) About {
	of := k.subjects[e.subject]
	return About{Namespace: of.namespace, Pod: of.pod, Time: unpackTime(e.time)}
}

// yield unpacks the block and yields its matching entries; false if the reader has had enough.
func (k *block) yield(match Match, yield func(Entry) bool) bool {
	wanted := make([]bool, len(k.entries))
	for i, e := range k.entries {
		wanted[i] = match(k.about(e))
	}
	if !slices.Contains(wanted, true) {
		return true
	}
	data := make([]byte, k.size)
	if _, err := io.ReadFull(flate.NewReader(bytes.NewReader(k.packed)), data); err != nil {
		panic(err) // it was packed here, in this process
	}
	for i, e := range k.entries {
		one := data[:e.length:e.length]
		data = data[e.length:]
		if wanted[i] && !yield(Entry{About: k.about(e), Data: one}) {
			return false
		}
	}
	return true
}
