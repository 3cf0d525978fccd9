// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// numbered is entry n, one second after entry n-1, with data that packs well.
func numbered(n int, namespace string) Entry {
	return Entry{
		About: About{Namespace: namespace, Pod: fmt.Sprintf("pod-%d", n%3), Time: time.Unix(int64(n), 0).UTC()},
		Data:  fmt.Appendf(nil, `{"n":%d,"filler":%q}`, n, strings.Repeat("like all others ", 20)),
	}
}

func TestCompressedGivesBackWhatWasAdded(t *testing.T) {
	b := NewCompressed(1 << 20)
	var want []Entry
	for n := range 3000 {
		e := numbered(n, []string{"a", "b", ""}[n%3])
		if n%7 == 0 {
			e.Time = time.Time{}
		}
		want = append(want, e)
		b.Add(e)
	}
	if len(b.blocks) == 0 || len(b.open) == 0 {
		t.Fatalf("%d blocks and %d open entries, want both: else only one path is read", len(b.blocks), len(b.open))
	}
	if diff := cmp.Diff(want, slices.Collect(b.Entries(everything))); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	onlyB := func(of About) bool { return of.Namespace == "b" }
	wantB := slices.DeleteFunc(slices.Clone(want), func(e Entry) bool { return e.Namespace != "b" })
	if diff := cmp.Diff(wantB, slices.Collect(b.Entries(onlyB))); diff != "" {
		t.Errorf("entries of b (-want +got):\n%s", diff)
	}
}

func TestCompressedKeepsItsBound(t *testing.T) {
	const limit = 64 << 10
	b := NewCompressed(limit)
	for n := range 3000 {
		b.Add(numbered(n, "a"))
		if stats := b.Stats(); stats.Bytes > limit || int64(stats.Kept)+stats.Dropped != int64(n+1) {
			t.Fatalf("after entry %d: %+v, want at most %d bytes and %d entries in all", n, stats, limit, n+1)
		}
	}
	stats := b.Stats()
	if plain := int64(limit) / sizeOf(numbered(0, "a")); int64(stats.Kept) < 4*plain {
		t.Errorf("kept %d entries, want several times the %d that fit unpacked", stats.Kept, plain)
	}
	kept := slices.Collect(b.Entries(everything))
	if diff := cmp.Diff(numbered(int(stats.Dropped), "a"), kept[0]); diff != "" {
		t.Errorf("the oldest kept entry (-want +got):\n%s", diff)
	}
	if want := kept[0].Time.Add(-time.Second); !stats.Since.Equal(want) {
		t.Errorf("since %v, want the time of the last dropped entry %v", stats.Since, want)
	}
}

func TestCompressedTakesNoEntryThatCannotFit(t *testing.T) {
	b := NewCompressed(4096)
	b.Add(numbered(1, "a"))
	b.Add(Entry{Data: make([]byte, 4096)})
	if stats := b.Stats(); stats.Kept != 1 || stats.Dropped != 1 {
		t.Errorf("%+v, want the first kept and the large one dropped", stats)
	}
}

// A slow reader neither stops the writer nor sees what never was.
func TestCompressedWhileItIsRead(t *testing.T) {
	b := NewCompressed(64 << 10)
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := range 2000 {
			b.Add(numbered(n, "a"))
		}
	})
	for range 5 {
		last := -1
		for e := range b.Entries(everything) {
			n := int(e.Time.Unix())
			if n <= last {
				t.Fatalf("entry %d after entry %d", n, last)
			}
			if diff := cmp.Diff(numbered(n, "a"), e); diff != "" {
				t.Fatalf("entry %d (-want +got):\n%s", n, diff)
			}
			last = n
		}
	}
	writer.Wait()
}

func BenchmarkCompressedAdd(b *testing.B) {
	kept := NewCompressed(8 << 20)
	e := numbered(1, "a")
	b.SetBytes(int64(len(e.Data)))
	for b.Loop() {
		kept.Add(e)
	}
}
