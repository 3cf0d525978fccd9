// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// readSize is how many bytes of the file are read at once.
const readSize = 64 << 10

// tail reads a file that grows, is rotated (renamed, with a new file in its place) and may be truncated. It polls:
// a stat costs microseconds, works on every file system, and cannot miss a rename the way a lost inotify event can.
//
// What it cannot see: two rotations between two polls (the file in the middle is never opened), and a truncation
// after which the file has grown past the old offset by the next poll. The API server's log writer does neither: it
// never truncates, and rotates only when a file has reached its size, 100 MB by default.
type tail struct {
	path string
	out  *splitter

	file   *os.File
	offset int64
	chunk  []byte
}

func newTail(path string, out *splitter) *tail {
	return &tail{path: path, out: out, chunk: make([]byte, readSize)}
}

// poll reads everything that is new. A nil error means that the file at path has been read to its end. With an
// error, the file that was open stays open if there was one: a log that is gone for a moment, because it is being
// rotated, loses nothing.
func (t *tail) poll(ctx context.Context) error {
	for {
		if t.file == nil {
			if err := t.open(); err != nil {
				return err
			}
		}
		if err := t.drain(ctx); err != nil {
			return err
		}
		done, err := t.follow(ctx)
		if done || err != nil {
			return err
		}
	}
}

// follow compares the open file with the one at path, and prepares to read on if that is another one or was
// truncated. It reports true if there is nothing more to read.
func (t *tail) follow(ctx context.Context) (bool, error) {
	opened, err := t.file.Stat()
	if err != nil {
		return false, fmt.Errorf("looking at the open audit log: %w", err)
	}
	present, err := os.Stat(t.path)
	if err != nil {
		return false, fmt.Errorf("looking for the audit log: %w", err)
	}
	switch {
	case !os.SameFile(opened, present):
		// The writer may have added lines between our last read and its rename; it adds none after it.
		if err := t.drain(ctx); err != nil {
			return false, err
		}
		t.close()
		return false, nil
	case present.Size() < t.offset:
		if _, err := t.file.Seek(0, io.SeekStart); err != nil {
			return false, fmt.Errorf("going back to the start of the truncated audit log: %w", err)
		}
		t.offset = 0
		t.out.Cut()
		return false, nil
	default:
		return true, nil
	}
}

func (t *tail) open() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return fmt.Errorf("looking for the audit log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("audit log %s is %s, want a regular file", t.path, info.Mode().Type())
	}
	file, err := os.Open(t.path)
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	t.file, t.offset = file, 0
	return nil
}

// drain reads the open file to its present end.
func (t *tail) drain(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := t.file.Read(t.chunk)
		t.offset += int64(n)
		t.out.Write(t.chunk[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the audit log: %w", err)
		}
	}
}

// close lets the open file go; a line without its end is lost with it.
func (t *tail) close() {
	if t.file == nil {
		return
	}
	// Nothing was written, so a failure to close loses nothing.
	_ = t.file.Close()
	t.file = nil
	t.out.Cut()
}
