// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// split feeds the stream in pieces of the given size and returns what came out.
func split(stream []byte, maximum, piece int) (lines []string, lost int) {
	s := &splitter{
		max:  maximum,
		line: func(line []byte) { lines = append(lines, string(line)) },
		lost: func() { lost++ },
	}
	for len(stream) > 0 {
		n := min(piece, len(stream))
		s.Write(stream[:n])
		stream = stream[n:]
	}
	return lines, lost
}

func TestSplitter(t *testing.T) {
	tests := map[string]struct {
		stream    string
		wantLines []string
		wantLost  int
	}{
		"whole lines":                             {stream: "one\ntwo\n", wantLines: []string{"one", "two"}},
		"a line that is not finished waits":       {stream: "one\ntw", wantLines: []string{"one"}},
		"empty lines are nothing":                 {stream: "\n\none\n\n", wantLines: []string{"one"}},
		"a line of the largest length":            {stream: "12345678\n", wantLines: []string{"12345678"}},
		"a line that is too long, and the next":   {stream: "123456789\ntwo\n", wantLines: []string{"two"}, wantLost: 1},
		"a line that is far too long":             {stream: strings.Repeat("x", 100) + "\ntwo\n", wantLines: []string{"two"}, wantLost: 1},
		"too long and never finished counts once": {stream: strings.Repeat("x", 100), wantLost: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for piece := 1; piece <= len(tc.stream); piece++ {
				lines, lost := split([]byte(tc.stream), 8, piece)
				if diff := cmp.Diff(tc.wantLines, lines); diff != "" || lost != tc.wantLost {
					t.Errorf("in pieces of %d: lost %d, want %d; lines (-want +got):\n%s", piece, lost, tc.wantLost, diff)
				}
			}
		})
	}
}

func TestSplitterCut(t *testing.T) {
	var lines []string
	lost := 0
	s := &splitter{max: 8, line: func(l []byte) { lines = append(lines, string(l)) }, lost: func() { lost++ }}
	s.Write([]byte("half a"))
	s.Cut()
	s.Write([]byte("whole\n"))
	s.Cut()
	if diff := cmp.Diff([]string{"whole"}, lines); diff != "" || lost != 1 {
		t.Errorf("lost %d, want 1; lines (-want +got):\n%s", lost, diff)
	}
}

// FuzzSplitter: however a stream is cut into writes, the lines are those of the whole, and no more than max bytes
// are held.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("{}\n{\"a\":1}\n"), 3)
	f.Add([]byte("no newline"), 1)
	f.Add([]byte("\n\n\r\n\x00\xff\n"), 2)
	f.Add(bytes.Repeat([]byte("x"), 100), 7)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		const maximum = 16
		if piece < 1 {
			piece = 1
		}
		var want []string
		wantLost := 0
		parts := bytes.Split(stream, []byte{'\n'})
		for i, part := range parts {
			unfinished := i == len(parts)-1
			switch {
			case len(part) > maximum:
				wantLost++
			case len(part) > 0 && !unfinished:
				want = append(want, string(part))
			}
		}
		lines, lost := split(stream, maximum, piece)
		if diff := cmp.Diff(want, lines); diff != "" || lost != wantLost {
			t.Errorf("lost %d, want %d; lines (-want +got):\n%s", lost, wantLost, diff)
		}
	})
}
