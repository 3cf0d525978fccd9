// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

// start is the stageTimestamp of event 0; event n has it n seconds later.
var start = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

// line returns one line of an audit log: a Pod's creation in the namespace demo, with n as its Audit-ID.
func line(n int) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"%d","stage":"ResponseComplete","verb":"create",`+
		`"stageTimestamp":"%s","objectRef":{"resource":"pods","namespace":"demo"}}`+"\n", n, start.Add(time.Duration(n)*time.Second).Format(time.RFC3339Nano))
}

func lines(from, to int) string {
	var all strings.Builder
	for n := from; n <= to; n++ {
		all.WriteString(line(n))
	}
	return all.String()
}

// rig is a follower of a log in a directory of its own. Its poll runs only when the test says so, so that every
// order of writing, rotating and polling can be played.
type rig struct {
	t        *testing.T
	path     string
	follower *Follower
	tail     *tail
}

func newRig(t *testing.T) *rig {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	f := New(path, evidence.New(source.Audit, "cp", 1<<20))
	f.limits.maxLine = 4096
	r := &rig{t: t, path: path, follower: f}
	r.tail = newTail(path, &splitter{max: f.limits.maxLine, line: f.take, lost: f.Malformed})
	t.Cleanup(r.tail.close)
	return r
}

func (r *rig) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) write(text string) {
	r.t.Helper()
	file, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	r.do(err)
	_, err = file.WriteString(text)
	r.do(err)
	r.do(file.Close())
}

func (r *rig) rotate() {
	r.t.Helper()
	r.do(os.Rename(r.path, r.path+".1"))
}

func (r *rig) poll() {
	r.t.Helper()
	r.follower.report(r.t.Context(), r.tail.poll(r.t.Context()))
}

// ids returns the Audit-IDs of what is kept.
func ids(t *testing.T, f *Follower) []string {
	t.Helper()
	got := []string{}
	for record := range f.Records(func(buffer.About) bool { return true }) {
		var e event
		if err := json.Unmarshal(record.Data, &e); err != nil {
			t.Fatalf("a kept record is not JSON: %v", err)
		}
		got = append(got, e.AuditID)
	}
	return got
}

func TestFollower(t *testing.T) {
	tests := map[string]struct {
		play          func(*rig)
		wantIDs       []string
		wantMalformed int64
		wantFiltered  int64
		wantLastError string
	}{
		"a file that is already there is read from its start": {
			play:    func(r *rig) { r.write(lines(1, 3)); r.poll() },
			wantIDs: []string{"1", "2", "3"},
		},
		"a file that grows": {
			play:    func(r *rig) { r.write(line(1)); r.poll(); r.poll(); r.write(lines(2, 3)); r.poll() },
			wantIDs: []string{"1", "2", "3"},
		},
		"a file that is not there is said to be missing": {
			play:          func(r *rig) { r.poll() },
			wantIDs:       []string{},
			wantLastError: "no such file or directory",
		},
		"a file that comes later": {
			play:    func(r *rig) { r.poll(); r.write(line(1)); r.poll() },
			wantIDs: []string{"1"},
		},
		"a directory in its place": {
			play:          func(r *rig) { r.do(os.Mkdir(r.path, 0o700)); r.poll() },
			wantIDs:       []string{},
			wantLastError: "want a regular file",
		},
		"a line that is finished later": {
			play: func(r *rig) {
				r.write(line(1) + line(2)[:50])
				r.poll()
				r.poll()
				r.write(line(2)[50:])
				r.poll()
			},
			wantIDs: []string{"1", "2"},
		},
		"rotation between two polls": {
			play:    func(r *rig) { r.write(line(1)); r.poll(); r.rotate(); r.write(line(2)); r.poll() },
			wantIDs: []string{"1", "2"},
		},
		"lines written between the last poll and the rotation": {
			play: func(r *rig) {
				r.write(line(1))
				r.poll()
				r.write(line(2))
				r.rotate()
				r.write(line(3))
				r.poll()
			},
			wantIDs: []string{"1", "2", "3"},
		},
		"a poll in the moment between rename and new file": {
			play: func(r *rig) {
				r.write(line(1))
				r.poll()
				r.write(line(2))
				r.rotate()
				r.poll()
				r.write(line(3))
				r.poll()
			},
			wantIDs: []string{"1", "2", "3"},
		},
		"two rotations, one poll after each": {
			play: func(r *rig) {
				for n := 1; n <= 3; n++ {
					r.write(line(n))
					r.poll()
					r.rotate()
				}
				r.write(line(4))
				r.poll()
			},
			wantIDs: []string{"1", "2", "3", "4"},
		},
		"several rotations between two polls, named as the API server names them": {
			play: func(r *rig) {
				r.write(line(1))
				r.poll()
				for n := 2; n <= 5; n++ {
					r.write(line(n))
					r.do(os.Rename(r.path, strings.Replace(r.path, "audit.log", fmt.Sprintf("audit-2026-11-22T12-00-0%d.000.log", n), 1)))
				}
				r.write(line(6))
				r.poll()
				r.write(line(7))
				r.poll()
			},
			wantIDs: []string{"1", "2", "3", "4", "5", "6", "7"},
		},
		"rotated files from before are not read": {
			play: func(r *rig) {
				r.write(line(1))
				r.do(os.Rename(r.path, strings.Replace(r.path, "audit.log", "audit-2026-11-22T12-00-01.000.log", 1)))
				r.write(line(2))
				r.poll()
				r.do(os.Rename(r.path, strings.Replace(r.path, "audit.log", "audit-2026-11-22T12-00-02.000.log", 1)))
				r.write(line(3))
				r.poll()
			},
			wantIDs: []string{"2", "3"},
		},
		"lines written and the file rotated just after it was read to its end": {
			play: func(r *rig) {
				r.write(line(1))
				r.do(r.tail.open())
				r.do(r.tail.drain(r.t.Context()))
				r.write(line(2))
				r.rotate()
				r.write(line(3))
				_, err := r.tail.follow(r.t.Context())
				r.do(err)
				r.poll()
			},
			wantIDs: []string{"1", "2", "3"},
		},
		"a line that rotation cut off is counted and does not spoil the next": {
			play: func(r *rig) {
				r.write(line(1) + line(2)[:50])
				r.poll()
				r.rotate()
				r.write(line(3))
				r.poll()
			},
			wantIDs:       []string{"1", "3"},
			wantMalformed: 1,
		},
		"truncation": {
			play: func(r *rig) {
				r.write(lines(1, 3))
				r.poll()
				r.do(os.Truncate(r.path, 0))
				r.write(line(4))
				r.poll()
			},
			wantIDs: []string{"1", "2", "3", "4"},
		},
		"truncation in the middle of a line": {
			play: func(r *rig) {
				r.write(lines(1, 2) + line(3)[:50])
				r.poll()
				r.do(os.Truncate(r.path, 0))
				r.write(line(4))
				r.poll()
			},
			wantIDs:       []string{"1", "2", "4"},
			wantMalformed: 1,
		},
		"a file that is deleted and made again": {
			play: func(r *rig) {
				r.write(lines(1, 2))
				r.poll()
				r.do(os.Remove(r.path))
				r.write(lines(3, 6))
				r.poll()
			},
			wantIDs: []string{"1", "2", "3", "4", "5", "6"},
		},
		"garbage is counted and stops nothing": {
			play: func(r *rig) {
				r.write(line(1) + "\x00\xff garbage\n{\"kind\":\n[1,2]\nnull\n\"Event\"\n{\"kind\":\"Event\"}\n" +
					strings.Replace(line(7), "audit.k8s.io/v1", "audit.k8s.io/v9", 1) +
					strings.Replace(line(8), "2026", "never", 1) +
					strings.TrimSuffix(line(9), "\n") + line(9) + line(10))
				r.poll()
			},
			wantIDs:       []string{"1", "10"},
			wantMalformed: 9,
		},
		"a line that is too long is counted and stops nothing": {
			play:          func(r *rig) { r.write(line(1) + strings.Repeat("x", 1<<20) + "\n" + line(2)); r.poll() },
			wantIDs:       []string{"1", "2"},
			wantMalformed: 1,
		},
		"what no trail needs is counted": {
			play: func(r *rig) {
				r.write(line(1) + strings.Replace(line(2), "pods", "secrets", 1) + strings.Replace(line(3), "create", "get", 1))
				r.poll()
			},
			wantIDs:      []string{"1"},
			wantFiltered: 2,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			tc.play(r)
			if diff := cmp.Diff(tc.wantIDs, ids(t, r.follower)); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			got := r.follower.Status()
			if got.Malformed != tc.wantMalformed || got.Filtered != tc.wantFiltered {
				t.Errorf("malformed %d and filtered %d, want %d and %d", got.Malformed, got.Filtered, tc.wantMalformed, tc.wantFiltered)
			}
			if !strings.Contains(got.LastError, tc.wantLastError) || (tc.wantLastError == "") != (got.LastError == "") {
				t.Errorf("last error %q, want %q in it", got.LastError, tc.wantLastError)
			}
		})
	}
}

func TestKeptBytesAreTheLogs(t *testing.T) {
	r := newRig(t)
	r.write(lines(1, 2))
	r.poll()
	var got strings.Builder
	for record := range r.follower.Records(func(buffer.About) bool { return true }) {
		if record.Source != source.Audit || record.Node != "cp" {
			t.Errorf("record of source %q on node %q, want audit on cp", record.Source, record.Node)
		}
		got.Write(record.Data)
		got.WriteByte('\n')
	}
	if diff := cmp.Diff(lines(1, 2), got.String()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestStatusSaysFromWhenOn(t *testing.T) {
	f := New("/nowhere/audit.log", evidence.New(source.Audit, "cp", 1000))
	if got := f.Status().Since; got.IsZero() || time.Since(got) > time.Minute {
		t.Errorf("before the first event since is %v, want the follower's start", got)
	}
	for n := range 10 {
		f.take([]byte(strings.TrimSuffix(line(n), "\n")))
	}
	got := f.Status()
	if got.Dropped == 0 || int64(got.Kept)+got.Dropped != 10 {
		t.Fatalf("kept %d and dropped %d, want some dropped and 10 in all", got.Kept, got.Dropped)
	}
	want := source.Status{Source: source.Audit, Node: "cp", Since: start.Add(time.Duration(got.Dropped-1) * time.Second)}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(source.Status{}, "Kept", "KeptBytes", "Dropped", "Now")); diff != "" {
		t.Errorf("Status (-want +got):\n%s", diff)
	}
}

// The whole, with its own clock: it sees what is written while it runs, and ends when it is told to.
func TestStart(t *testing.T) {
	r := newRig(t)
	r.follower.limits.poll = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.follower.Start(ctx) }()
	for n := 1; n <= 50; n++ {
		r.write(line(n))
		if n%10 == 0 {
			// A file that is gone before the follower has ever seen it is lost, see tail.
			waitForKept(t, r.follower, n)
			r.rotate()
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Start returned %v, want nil", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Start did not end within 10 s of its context's end")
	}
}

func waitForKept(t *testing.T, f *Follower, want int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for f.Status().Kept != want {
		if time.Now().After(deadline) {
			t.Fatalf("kept %d events after 10 s, want %d", f.Status().Kept, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// FuzzTake: no line stops the follower, and what it keeps is one line of valid JSON.
func FuzzTake(f *testing.F) {
	f.Add([]byte(strings.TrimSuffix(line(1), "\n")))
	f.Add([]byte(`{"kind":"Event"`))
	f.Add([]byte(strings.TrimSuffix(line(2), "}\n") + `,"requestObject":{"spec":{"containers":[{"env":[{"name":"A","value":"B"}]}]}}}`))
	f.Add([]byte(strings.TrimSuffix(line(3), "}\n") + `,"annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":"{\"patch\":[{\"op\":\"add\",\"path\":\"/spec/containers/0/env/-\",\"value\":{}}]}"}}`))
	f.Add([]byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, line []byte) {
		follower := New("/nowhere/audit.log", evidence.New(source.Audit, "cp", 1<<20))
		follower.take(line)
		got := follower.Status()
		if int64(got.Kept)+got.Dropped+got.Filtered+got.Malformed != 1 {
			t.Errorf("%+v, want the line counted once", got)
		}
		for record := range follower.Records(func(buffer.About) bool { return true }) {
			if !json.Valid(record.Data) {
				t.Errorf("kept %q, want valid JSON", record.Data)
			}
		}
	})
}
