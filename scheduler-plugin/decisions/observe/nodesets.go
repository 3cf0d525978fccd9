// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"podtrail.dev/podtrail/trail/decision"
)

// nodeSets keeps the names of the nodes of the recorded attempts. In a large cluster they are most of an attempt, and
// the same for many attempts, so each set is kept once and apart from the records, and added to a record when it is
// served. A set is kept as long as a record refers to it. It is safe for concurrent use.
type nodeSets struct {
	mu    sync.Mutex
	last  uint64
	sets  []nodeSet
	bytes int64
}

type nodeSet struct {
	id uint64
	// names is the very slice of the matrices.
	names []string
	// records counts those that refer to it.
	records int
	bytes   int64
}

// bytesOf returns how much memory the names take.
func bytesOf(names []string) int64 {
	const header = 16 // of a string in the slice
	size := int64(header * len(names))
	for _, name := range names {
		size += int64(len(name))
	}
	return size
}

// pack encodes a record. The names of its nodes go to their set and not into the result, unless a set of them would
// take more than limit bytes.
func (s *nodeSets) pack(record decision.Record, limit int64) ([]byte, error) {
	var id uint64
	if record.Attempt != nil {
		if id = s.refer(record.Attempt.Matrix.Nodes, limit); id != 0 {
			attempt := *record.Attempt
			attempt.Matrix.Nodes = nil
			record.Attempt = &attempt
		}
	}
	out := packed(binary.AppendUvarint(nil, id))
	if err := json.NewEncoder(&out).Encode(record); err != nil {
		s.release(out)
		return nil, fmt.Errorf("encoding a decision: %w", err)
	}
	return out, nil
}

// packed is the id of the set of nodes and the encoded record. It takes what an encoder writes, without the line's end.
// An encoder writes once, so nothing is allocated beside what is kept.
type packed []byte

func (p *packed) Write(data []byte) (int, error) {
	*p = slices.Concat(*p, bytes.TrimSuffix(data, []byte("\n")))
	return len(data), nil
}

// errNoSet means that the set of nodes is gone, and so the record too.
var errNoSet = errors.New("the names of the record's nodes are no longer kept")

// unpack returns the record as it is served.
func (s *nodeSets) unpack(packed []byte) ([]byte, error) {
	id, n := binary.Uvarint(packed)
	data := packed[n:]
	if id == 0 {
		return data, nil
	}
	names, ok := s.namesOf(id)
	if !ok {
		return nil, errNoSet
	}
	var record decision.Record
	if err := json.Unmarshal(data, &record); err != nil {
		return nil, fmt.Errorf("decoding a decision: %w", err)
	}
	record.Attempt.Matrix.Nodes = names
	data, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encoding a decision: %w", err)
	}
	return data, nil
}

// refer counts a record of these nodes and returns their set, or 0 if there are none or their set would be too large.
func (s *nodeSets) refer(names []string, limit int64) uint64 {
	if len(names) == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.sets {
		if set := &s.sets[i]; len(set.names) == len(names) && &set.names[0] == &names[0] {
			set.records++
			return set.id
		}
	}
	set := nodeSet{id: s.last + 1, names: names, records: 1, bytes: bytesOf(names)}
	if set.bytes > limit {
		return 0
	}
	s.last = set.id
	s.sets = append(s.sets, set)
	s.bytes += set.bytes
	return set.id
}

func (s *nodeSets) namesOf(id uint64) ([]string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, set := range s.sets {
		if set.id == id {
			return set.names, true
		}
	}
	return nil, false
}

// release must be called when a packed record is dropped. It drops the record's set after the last of its records.
func (s *nodeSets) release(packed []byte) {
	id, _ := binary.Uvarint(packed)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.sets {
		set := &s.sets[i]
		if set.id != id {
			continue
		}
		if set.records--; set.records == 0 {
			s.bytes -= set.bytes
			s.sets = slices.Delete(s.sets, i, i+1)
		}
		return
	}
}

// held returns how many bytes the sets take.
func (s *nodeSets) held() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}
