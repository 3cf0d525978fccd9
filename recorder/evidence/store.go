// SPDX-License-Identifier: Apache-2.0

// Package evidence keeps what one source of the recorder has seen, and says what it saw and did not keep.
package evidence

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

// Store holds the evidence of one source of one node, bounded in bytes. It is safe for concurrent use. Make one with
// New.
type Store struct {
	name  string
	node  string
	kept  *buffer.Compressed
	start time.Time
	now   func() time.Time

	mu     sync.Mutex
	counts counts
}

type counts struct {
	filtered  int64
	malformed int64
	dropped   int64
	lastError string
	warning   string
	gap       time.Time
	probes    []source.Probe
}

// maxProbes bounds how many probes are remembered. Whoever is authenticated may send them, so the oldest go.
const maxProbes = 32

// New returns an empty store for a source of that name that holds at most limit bytes. It knows from now on.
func New(name, node string, limit int64) *Store {
	return &Store{name: name, node: node, kept: buffer.NewCompressed(limit), start: time.Now(), now: time.Now}
}

// Name is the source's.
func (s *Store) Name() string { return s.name }

// Keep holds one record's data, which must not change afterwards, and what it is about.
func (s *Store) Keep(about buffer.About, data []byte) {
	s.kept.Add(buffer.Entry{About: about, Data: data})
}

// Filtered counts n pieces that no trail can need.
func (s *Store) Filtered(n int) { s.count(func(c *counts) { c.filtered += int64(n) }) }

// Malformed counts one piece that could not be understood.
func (s *Store) Malformed() { s.count(func(c *counts) { c.malformed++ }) }

// Dropped counts n pieces that a trail might have needed and that had to go before they were kept, for want of room.
func (s *Store) Dropped(n int) { s.count(func(c *counts) { c.dropped += int64(n) }) }

func (s *Store) count(change func(*counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.counts)
}

// Report remembers why the source cannot be read, nil if it can. It returns true if that differs from before, so that
// a failure which lasts is logged once.
func (s *Store) Report(err error) (changed bool) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.count(func(c *counts) { changed, c.lastError = c.lastError != text, text })
	return changed
}

// Warn remembers why the source works less well than it should, "" if it does not. It returns true if that differs from
// before, so that a warning which lasts is logged once.
func (s *Store) Warn(why string) (changed bool) {
	s.count(func(c *counts) { changed, c.warning = c.warning != why, why })
	return changed
}

// Probed remembers that evidence of a probe has arrived, and no more of it. The API server received the request at that
// time.
func (s *Store) Probed(auditID string, received time.Time) {
	probe := source.Probe{AuditID: strings.Clone(auditID), Received: received.UTC(), Arrived: s.now().UTC()}
	s.count(func(c *counts) {
		if c.probes = append(c.probes, probe); len(c.probes) > maxProbes {
			c.probes = slices.Delete(c.probes, 0, 1)
		}
	})
}

// Gap says that something before that time may have been missed, so that all is known only from then on.
func (s *Store) Gap(at time.Time) { s.count(func(c *counts) { c.gap = at }) }

// Status says what the store holds and what its source saw and did not keep.
func (s *Store) Status() source.Status {
	stats := s.kept.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	since := stats.Since
	if since.IsZero() {
		since = s.start
	}
	if s.counts.gap.After(since) {
		since = s.counts.gap
	}
	return source.Status{
		Source: s.name, Node: s.node, Since: since,
		Kept: stats.Kept, KeptBytes: stats.Bytes, Dropped: stats.Dropped + s.counts.dropped,
		Filtered: s.counts.filtered, Malformed: s.counts.malformed, LastError: s.counts.lastError, Warning: s.counts.warning,
		Now: s.now().UTC(), Probes: slices.Clone(s.counts.probes),
	}
}

// Records yields the kept records that match accepts, the oldest first.
func (s *Store) Records(match buffer.Match) iter.Seq[source.Record] {
	return func(yield func(source.Record) bool) {
		for entry := range s.kept.Entries(match) {
			if !yield(source.Record{Source: s.name, Node: s.node, Data: entry.Data}) {
				return
			}
		}
	}
}
