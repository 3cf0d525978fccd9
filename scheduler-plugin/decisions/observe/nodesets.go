// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"podtrail.dev/podtrail/trail/decision"
)

// nodeSets are the names of the nodes of the attempts that are kept. They are most of an attempt in a large cluster and
// the same for many attempts, so they are kept once, apart from the records, and put back in when a record is served.
// A set is kept as long as a record refers to it. It is safe for concurrent use.
type nodeSets struct {
	mu    sync.Mutex
	last  uint64
	sets  []nodeSet
	bytes int64
}

type nodeSet struct {
	id uint64
	// names is the very slice of the matrices.
	names   []string
	encoded []byte
	// records counts those that refer to it.
	records int
}

// nameBytes is what a name costs beside its text: the string in the slice.
const nameBytes = 16

func (s nodeSet) bytes() int64 {
	return int64(2*len(s.encoded) + nameBytes*len(s.names))
}

// matrixBegins is where a record's matrix begins. It cannot stand inside of a JSON string, whose quotes are escaped.
var matrixBegins = []byte(`"matrix":{`)

// pack encodes a record. The names of its nodes go to the set that they are, unless a set of them would take more than
// most bytes.
func (s *nodeSets) pack(record decision.Record, most int64) ([]byte, error) {
	var id uint64
	if record.Attempt != nil {
		if id = s.refer(record.Attempt.Matrix.Nodes, most); id != 0 {
			attempt := *record.Attempt
			attempt.Matrix.Nodes = nil
			record.Attempt = &attempt
		}
	}
	out := packed(binary.AppendUvarint(nil, id))
	if err := json.NewEncoder(&out).Encode(record); err != nil {
		return nil, fmt.Errorf("encoding a decision: %w", err)
	}
	return out, nil
}

// packed takes what an encoder writes, without the line's end. An encoder writes once, so nothing is allocated beside
// what is kept.
type packed []byte

func (p *packed) Write(data []byte) (int, error) {
	*p = slices.Concat(*p, bytes.TrimSuffix(data, []byte("\n")))
	return len(data), nil
}

// unpack is the record as it is served; false if its set is gone, and so the record too.
func (s *nodeSets) unpack(packed []byte) ([]byte, bool) {
	id, n := binary.Uvarint(packed)
	data := packed[n:]
	if id == 0 {
		return data, true
	}
	names, ok := s.namesOf(id)
	if !ok {
		return nil, false
	}
	at := bytes.Index(data, matrixBegins) + len(matrixBegins)
	rest := data[at:]
	between := ","
	if rest[0] == '}' {
		between = ""
	}
	return slices.Concat(data[:at], []byte(`"nodes":`), names, []byte(between), rest), true
}

// refer counts a record of these nodes and returns their set, 0 if they have none.
func (s *nodeSets) refer(names []string, most int64) uint64 {
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
	encoded, err := json.Marshal(names)
	set := nodeSet{id: s.last + 1, names: names, encoded: encoded, records: 1}
	if err != nil || set.bytes() > most {
		return 0
	}
	s.last = set.id
	s.sets = append(s.sets, set)
	s.bytes += set.bytes()
	return set.id
}

func (s *nodeSets) namesOf(id uint64) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, set := range s.sets {
		if set.id == id {
			return set.encoded, true
		}
	}
	return nil, false
}

// release takes a packed record out of the count, and lets its set go if it was the last one.
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
			s.bytes -= set.bytes()
			s.sets = slices.Delete(s.sets, i, i+1)
		}
		return
	}
}

// held is how many bytes the sets take.
func (s *nodeSets) held() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}
