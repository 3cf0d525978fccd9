// SPDX-License-Identifier: Apache-2.0

// Package nodefiles reads what the container runtime leaves on the node: the cached results of CNI plugins and the
// OCI specifications of sandboxes and containers. What was read stays known after the file has gone.
package nodefiles

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/telemetry/buffer"
)

const (
	// scanInterval is how long a change may go unseen where the kernel tells of none.
	scanInterval = 2 * time.Second
	// retryInterval is the pause before a file that is not whole yet is read again.
	retryInterval = 50 * time.Millisecond
	// patience is how long a file may stay unreadable before it counts as malformed.
	patience = 5 * time.Second
	// maxFileBytes bounds one file. A specification has some 10 KB, a CNI result some 2 KB.
	maxFileBytes = 1 << 20
)

// format is one kind of file.
type format struct {
	// path leads from an entry of the directory to the file.
	path func(entry string) string
	// parse takes of a file's content what may be kept: its namespace and the record's data. It returns errIrrelevant
	// for a file that is about no Pod.
	parse func(entry string, content []byte, written time.Time) (about buffer.About, data []byte, err error)
}

var errIrrelevant = errors.New("about no Pod")

// Follower reads each file of a directory once it appears, and again once it has changed. It is a runnable of a
// controller-runtime manager. Make one with NewCNI or NewOCI.
type Follower struct {
	*evidence.Store

	directory string
	format    format
	now       func() time.Time
	changes   changes

	// seen is what each present entry was like when it was last read.
	seen map[string]seen
}

type seen struct {
	written time.Time
	size    int64
	// since is when it was first found unreadable; zero once it was read.
	since time.Time
	done  bool
}

func newFollower(directory string, format format, kept *evidence.Store) *Follower {
	return &Follower{
		Store: kept, directory: directory, format: format, now: time.Now, seen: map[string]seen{},
		changes: changes{directory: directory, make: fsnotify.NewWatcher},
	}
}

// Start follows the directory until the context ends. No file's content and no error ends it earlier: files that
// cannot be understood are counted, and errors of the directory are shown in Status, logged once each, and tried again.
func (f *Follower) Start(ctx context.Context) error {
	log := ctrl.LoggerFrom(ctx).WithValues("source", f.Name(), "directory", f.directory)
	defer f.changes.close()
	for {
		f.watch(log) // before each scan: it may have come to be meanwhile, and the limit of watches may be higher
		again, err := f.scan()
		if f.Report(err) {
			if err != nil {
				log.Error(err, "Could not read the directory; trying again")
			} else {
				log.Info("The directory can be read again")
			}
		}
		pause := scanInterval
		if again {
			pause = retryInterval
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.changes.events():
		case <-f.changes.errors(): // the kernel could not tell all: what it left out is found by looking
		case <-time.After(pause):
		}
	}
}

// watch makes the kernel report changes, or says in Status why it does not. Without it the scans find them, and may miss
// what comes and goes between two.
func (f *Follower) watch(log logr.Logger) {
	err := f.changes.watch()
	if !f.Warn(warning(err)) {
		return
	}
	if err != nil {
		log.Info("Changes are found by scanning; trying again to watch", "reason", err.Error(), "interval", scanInterval)
	} else {
		log.Info("The directory is watched")
	}
}

// scan reads what is new, and forgets what is gone. It returns true if a file has to be looked at again soon.
func (f *Follower) scan() (again bool, err error) {
	entries, err := os.ReadDir(f.directory)
	if err != nil {
		return false, fmt.Errorf("listing: %w", err)
	}
	present := make(map[string]bool, len(entries))
	for _, entry := range entries {
		present[entry.Name()] = true
		if !f.settled(entry.Name()) {
			again = true
		}
	}
	for name := range f.seen {
		if !present[name] {
			delete(f.seen, name)
		}
	}
	return again, nil
}

// settled reads an entry if it has changed; false if it is not whole yet.
func (f *Follower) settled(entry string) bool {
	path := filepath.Join(f.directory, f.format.path(entry))
	before, known := f.seen[entry]
	info, err := os.Lstat(path)
	switch {
	case err == nil && known && before.done && info.ModTime().Equal(before.written) && info.Size() == before.size:
		return true
	case err == nil && !info.Mode().IsRegular():
		if !known { // a link could lead anywhere
			f.Malformed()
		}
		f.seen[entry] = seen{written: info.ModTime(), size: info.Size(), done: true}
		return true
	case err == nil:
		err = f.read(entry, path, info.ModTime())
	}
	if err == nil {
		f.seen[entry] = seen{written: info.ModTime(), size: info.Size(), done: true}
		return true
	}
	return f.excuse(entry, before, info, err)
}

// excuse waits for a file that cannot be read or understood, and gives it up after a while.
func (f *Follower) excuse(entry string, before seen, info fs.FileInfo, err error) (settled bool) {
	if errors.Is(err, errIrrelevant) {
		f.Filtered(1)
		f.seen[entry] = seen{written: info.ModTime(), size: info.Size(), done: true}
		return true
	}
	switch {
	case before.done && info == nil && before.written.IsZero():
		return true // given up already, and still not there
	case before.done: // it has changed
		before = seen{}
	}
	if before.since.IsZero() {
		before.since = f.now()
	}
	if f.now().Sub(before.since) < patience {
		f.seen[entry] = before
		return false
	}
	f.Malformed()
	given := seen{done: true}
	if info != nil {
		given.written, given.size = info.ModTime(), info.Size()
	}
	f.seen[entry] = given
	return true
}

// read keeps what may be kept of one file.
func (f *Follower) read(entry, path string, written time.Time) error {
	content, err := readBounded(path)
	if err != nil {
		return err
	}
	about, data, err := f.format.parse(entry, content, written.UTC())
	if err != nil {
		return err
	}
	f.Keep(about, data)
	return nil
}

var errTooLarge = fmt.Errorf("larger than %d bytes", maxFileBytes)

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read from
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFileBytes {
		return nil, errTooLarge
	}
	return content, nil
}

// encode writes the data of a record.
func encode(record any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(record); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'}), nil
}
