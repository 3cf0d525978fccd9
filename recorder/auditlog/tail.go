// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// readSize is how many bytes of the file are read at once.
const readSize = 64 << 10

// tail reads a file that grows, is rotated (renamed, with a new file in its place) and may be truncated. It polls:
// a stat costs microseconds, works on every file system, and cannot miss a rename the way a lost inotify event can.
//
// Several rotations between two polls lose nothing if the rotated files are named as the API server's log writer
// (lumberjack) names them: audit-<time>.log for audit.log. What it cannot see is a truncation after which the file
// has grown past the old offset by the next poll; the API server never truncates.
type tail struct {
	path string
	out  *splitter

	file   *os.File
	offset int64
	chunk  []byte
	// pending are the open files that follow the present one, the oldest first; then the present one was rotated
	// away and is complete.
	pending []*os.File
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

// follow is called when the open file has been read to its end. It compares it with the one at path, and prepares to
// read on if that is another one or was truncated. It reports true if there is nothing more to read.
func (t *tail) follow(ctx context.Context) (bool, error) {
	if len(t.pending) > 0 {
		t.next()
		return false, nil
	}
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
		if t.pending, err = t.successors(opened); err != nil {
			return false, err
		}
		t.next()
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

// successors opens the files that came after the rotated one, the oldest first; the last is the one at path. That
// one is opened first: whatever lies between the two then has its rotated name already, and is found by it.
func (t *tail) successors(rotated os.FileInfo) ([]*os.File, error) {
	last, err := openRegular(t.path)
	if err != nil {
		return nil, err
	}
	between, err := t.between(rotated, last)
	if err != nil {
		return nil, errors.Join(err, last.Close())
	}
	return append(between, last), nil
}

// between opens the files that were rotated away after the rotated one and before last, by the order of their names.
func (t *tail) between(rotated os.FileInfo, last *os.File) ([]*os.File, error) {
	end, err := last.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at the new audit log: %w", err)
	}
	dir, base := filepath.Split(t.path)
	extension := filepath.Ext(base)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing the rotated audit logs: %w", err)
	}
	var files []*os.File
	begun := false
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, strings.TrimSuffix(base, extension)+"-") || !strings.HasSuffix(name, extension) {
			continue
		}
		info, err := entry.Info()
		if err != nil || os.SameFile(info, end) {
			break // deleted meanwhile, or rotated away meanwhile: what follows comes after last
		}
		if begun {
			file, err := openRegular(filepath.Join(dir, name))
			if err != nil {
				break
			}
			files = append(files, file)
		}
		begun = begun || os.SameFile(info, rotated)
	}
	return files, nil
}

func (t *tail) open() error {
	file, err := openRegular(t.path)
	if err != nil {
		return err
	}
	t.file, t.offset = file, 0
	return nil
}

func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("looking for the audit log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("audit log %s is %s, want a regular file", path, info.Mode().Type())
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	return file, nil
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

// next goes on with the first pending file.
func (t *tail) next() {
	t.release()
	t.file, t.offset, t.pending = t.pending[0], 0, t.pending[1:]
}

// release lets the open file go; a line without its end is lost with it.
func (t *tail) release() {
	// Nothing was written, so a failure to close loses nothing.
	_ = t.file.Close()
	t.file = nil
	t.out.Cut()
}

// close lets every open file go.
func (t *tail) close() {
	for t.file != nil {
		if len(t.pending) == 0 {
			t.release()
			return
		}
		t.next()
	}
}
