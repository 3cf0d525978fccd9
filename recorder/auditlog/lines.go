// SPDX-License-Identifier: Apache-2.0

package auditlog

import "bytes"

// splitter cuts a stream of bytes into lines, however the bytes are split into writes. A line is handed over once
// its newline has come; a line that is longer than max bytes is skipped up to its newline, so that memory stays
// bounded whatever the file holds.
type splitter struct {
	max int
	// line gets each whole line without its newline. It may keep the bytes only until it returns. Empty lines are
	// not handed over.
	line func([]byte)
	// lost is called once for each line that cannot be handed over: too long, or cut off.
	lost func()

	partial  []byte
	skipping bool
}

// Write takes the next bytes of the file.
func (s *splitter) Write(p []byte) {
	for {
		head, rest, found := bytes.Cut(p, []byte{'\n'})
		if !found {
			s.extend(head)
			return
		}
		s.finish(head)
		p = rest
	}
}

// Cut forgets the line that has begun: the file ended for good, or what was read of it is gone.
func (s *splitter) Cut() {
	if len(s.partial) > 0 {
		s.lost()
	}
	s.partial, s.skipping = s.partial[:0], false
}

// extend adds to the unfinished line.
func (s *splitter) extend(p []byte) {
	if s.skipping {
		return
	}
	if len(s.partial)+len(p) > s.max {
		s.lost()
		s.partial, s.skipping = nil, true
		return
	}
	s.partial = append(s.partial, p...)
}

// finish ends the unfinished line with p and hands it over.
func (s *splitter) finish(p []byte) {
	switch {
	case s.skipping:
		s.skipping = false
	case len(s.partial)+len(p) > s.max:
		s.lost()
	case len(s.partial) > 0:
		s.line(append(s.partial, p...))
	case len(p) > 0:
		s.line(p)
	}
	s.partial = s.partial[:0]
}
