// SPDX-License-Identifier: Apache-2.0

package nodefiles

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

// hidden is a value that no record may hold, wherever it was put.
const hidden = "correct-horse-battery-staple"

// cniFile is what libcni caches for a Pod.
func cniFile(uid string) string {
	return `{"kind":"cniCacheV1","containerId":"sandbox-` + uid + `","config":"` + hidden + `","ifName":"eth0","networkName":"net",` +
		`"cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAMESPACE","demo"],["K8S_POD_NAME","p"],["K8S_POD_INFRA_CONTAINER_ID","sandbox-` + uid + `"],["K8S_POD_UID","` + uid + `"],["TOKEN","` + hidden + `"]],` +
		`"capabilityArgs":{"x":"` + hidden + `"},"result":{"cniVersion":"1.0.0","interfaces":[{"mac":"aa","name":"veth1"},{"mac":"bb","name":"eth0","sandbox":"/var/run/netns/cni-1"}],` +
		`"ips":[{"address":"10.0.0.2/24","gateway":"10.0.0.1","interface":1}],"routes":[{"dst":"0.0.0.0/0"}]}}`
}

// ociFile is a container's config.json.
func ociFile(uid string) string {
	return `{"ociVersion":"1.2.1","process":{"user":{"uid":65532,"gid":65532},"args":["/app","--password=` + hidden + `","` + hidden + `"],` +
		`"env":["PATH=/bin","PASSWORD=` + hidden + `"],"cwd":"/"},"root":{"path":"rootfs","readonly":true},` +
		`"mounts":[{"destination":"/x","source":"` + hidden + `"}],"annotations":{"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.container-name":"app",` +
		`"io.kubernetes.cri.sandbox-uid":"` + uid + `","io.kubernetes.cri.sandbox-namespace":"demo","io.kubernetes.cri.sandbox-name":"p","io.kubernetes.cri.sandbox-id":"s","other":"` + hidden + `"},` +
		`"linux":{"cgroupsPath":"/kubepods/c","resources":{"cpu":{"shares":102,"quota":10000,"period":100000}},"namespaces":[{"type":"pid"},{"type":"network","path":"/proc/1/ns/net"}]}}`
}

// rig is a follower that scans when the test says so, with a clock that the test sets.
type rig struct {
	t   *testing.T
	dir string
	f   *Follower
	now time.Time
}

func newRig(t *testing.T, make func(string, *evidence.Store) *Follower) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, f: make(dir, evidence.New("x", "n", 1<<20)), now: time.Now()}
	r.f.now = func() time.Time { return r.now }
	return r
}

// write puts a file there, with a modification time of its own for each write.
func (r *rig) write(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	r.must(os.MkdirAll(filepath.Dir(path), 0o700))
	r.must(os.WriteFile(path, []byte(content), 0o600))
	r.now = r.now.Add(time.Second)
	r.must(os.Chtimes(path, r.now, r.now))
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) scan() (again bool) {
	r.t.Helper()
	again, err := r.f.scan()
	r.must(err)
	return again
}

// want compares kept, filtered and malformed, and looks for the hidden value.
func (r *rig) want(kept int, filtered, malformed int64) {
	r.t.Helper()
	got := r.f.Status()
	if got.Kept != kept || got.Filtered != filtered || got.Malformed != malformed {
		r.t.Errorf("%d kept, %d filtered, %d malformed, want %d, %d, %d", got.Kept, got.Filtered, got.Malformed, kept, filtered, malformed)
	}
	for record := range r.f.Records(func(of buffer.About) bool { return of.Namespace == "demo" }) {
		if strings.Contains(string(record.Data), hidden) {
			r.t.Errorf("kept the value that no record may hold: %s", record.Data)
		}
	}
}

func TestFilesThatComeChangeAndGo(t *testing.T) {
	r := newRig(t, NewCNI)
	r.scan()
	r.want(0, 0, 0)
	r.write("net-1-eth0", cniFile("1"))
	r.scan()
	r.scan()
	r.want(1, 0, 0)
	r.write("net-1-eth0", cniFile("1-again"))
	r.write("net-2-eth0", cniFile("2"))
	r.scan()
	r.want(3, 0, 0)
	r.must(os.Remove(filepath.Join(r.dir, "net-1-eth0")))
	r.scan()
	r.want(3, 0, 0)
	if len(r.f.seen) != 1 {
		t.Errorf("%d files are remembered, want the 1 that is there", len(r.f.seen))
	}
}

func TestAFileThatIsNotWholeYetIsReadAgain(t *testing.T) {
	r := newRig(t, NewCNI)
	r.write("net-1-eth0", cniFile("1")[:100])
	if !r.scan() {
		t.Error("a cut-off file is not looked at again")
	}
	r.want(0, 0, 0)
	r.write("net-1-eth0", cniFile("1"))
	if r.scan() {
		t.Error("a whole file is looked at again")
	}
	r.want(1, 0, 0)
}

func TestAFileThatStaysGarbageIsCountedOnce(t *testing.T) {
	r := newRig(t, NewCNI)
	for name, content := range map[string]string{
		"garbage": "\x00\xff{", "empty": "", "another kind": `{"kind":"x"}`, "too large": strings.Repeat(" ", maxFileBytes+1) + "{}",
	} {
		r.write(name, content)
	}
	r.must(os.Symlink("/etc/passwd", filepath.Join(r.dir, "link")))
	r.must(os.Mkdir(filepath.Join(r.dir, "directory"), 0o700))
	r.write("good", cniFile("1"))
	r.scan()
	r.want(1, 0, 2) // the link and the directory are no files at all
	for range 3 {
		r.now = r.now.Add(patience + time.Second)
		r.scan()
		r.scan()
	}
	r.want(1, 0, 6)
	r.write("garbage", cniFile("2"))
	r.scan()
	r.want(2, 0, 6)
}

func TestAFileAboutNoPodIsFiltered(t *testing.T) {
	r := newRig(t, NewOCI)
	r.write("c1/config.json", `{"ociVersion":"1.2.1"}`)
	r.scan()
	r.scan()
	r.want(0, 1, 0)
}

func TestABundleWhoseFileComesLater(t *testing.T) {
	r := newRig(t, NewOCI)
	r.must(os.Mkdir(filepath.Join(r.dir, "c1"), 0o700))
	if !r.scan() {
		t.Error("a bundle without its file is not looked at again")
	}
	r.write("c1/config.json", ociFile("1"))
	r.scan()
	r.want(1, 0, 0)
	r.must(os.Mkdir(filepath.Join(r.dir, "c2"), 0o700))
	for range 4 {
		r.scan()
		r.now = r.now.Add(patience + time.Second)
	}
	r.want(1, 0, 1)
	r.write("c2/config.json", ociFile("2"))
	r.scan()
	r.want(2, 0, 1)
}

// What is kept is what the parsers understand.
func TestRecordsAreParsed(t *testing.T) {
	for name, tc := range map[string]struct {
		make        func(string, *evidence.Store) *Follower
		file        string
		content     string
		source      string
		wantSummary string
	}{
		"CNI": {NewCNI, "net-1-eth0", cniFile("1"), source.CNI, "network net: 10.0.0.2/24, veth pair eth0 in the Pod and veth1 on the node"},
		"OCI": {NewOCI, "c1/config.json", ociFile("1"), source.OCI, "container app joins the sandbox's network, CPU quota 10000 of every 100000 µs"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tc.make)
			r.write(tc.file, tc.content)
			r.scan()
			r.want(1, 0, 0)
			for record := range r.f.Records(func(buffer.About) bool { return true }) {
				record.Source = tc.source
				observations, err := source.Parse(record)
				if err != nil || len(observations) != 1 {
					t.Fatalf("%d observations and error %v, want 1", len(observations), err)
				}
				o := observations[0]
				if o.Summary != tc.wantSummary || o.Subject.UID != "1" || o.Subject.Namespace != "demo" {
					t.Errorf("%+v, want summary %q of the Pod with UID 1 in demo", o, tc.wantSummary)
				}
			}
		})
	}
}

// The whole, with the kernel's notes: it sees what comes while it runs, also into a directory that was not there.
func TestStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	f := NewCNI(dir, evidence.New(source.CNI, "n", 1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Start(ctx) }()
	waitFor(t, "an error to be told", func() bool { return f.Status().LastError != "" })
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), []byte(cniFile(fmt.Sprint(n))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "20 records", func() bool { return f.Status().Kept >= 20 && f.Status().LastError == "" })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Start returned %v, want nil", err)
	}
}

// TestWithoutAWatch: where the kernel refuses to watch, what comes is found by scanning, the status says why and does not
// count it as a failure, and the watch is made once the kernel allows it.
func TestWithoutAWatch(t *testing.T) {
	dir := t.TempDir()
	f := NewCNI(dir, evidence.New(source.CNI, "n", 1<<20))
	var allowed atomic.Bool
	f.changes.make = func() (*fsnotify.Watcher, error) {
		if allowed.Load() {
			return fsnotify.NewWatcher()
		}
		return nil, os.NewSyscallError("inotify_init1", syscall.EMFILE)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Start(ctx) }()
	const want = "no watch: making a watcher: inotify_init1: too many open files; scanning every 2s"
	waitFor(t, "the warning", func() bool { return f.Status().Warning == want })
	if err := os.WriteFile(filepath.Join(dir, "1"), []byte(cniFile("1")), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a record without a watch", func() bool { return f.Status().Kept == 1 })
	if got := f.Status(); got.LastError != "" || got.Warning != want {
		t.Errorf("error %q and warning %q, want no error and %q", got.LastError, got.Warning, want)
	}
	allowed.Store(true)
	waitFor(t, "the warning to go", func() bool { return f.Status().Warning == "" })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Start returned %v, want nil", err)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// TestFilesAreOfAPod: both formats name the Pod.
func TestFilesAreOfAPod(t *testing.T) {
	written := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	want := buffer.About{Namespace: "demo", Pod: "p", Time: written}
	for name, parsed := range map[string]func() (buffer.About, []byte, error){
		source.CNI: func() (buffer.About, []byte, error) { return parseCNI("id", []byte(cniFile("1")), written) },
		source.OCI: func() (buffer.About, []byte, error) { return parseOCI("id", []byte(ociFile("1")), written) },
	} {
		if got, _, err := parsed(); err != nil || got != want {
			t.Errorf("%s: about %+v (%v), want %+v", name, got, err, want)
		}
	}
}

// FuzzFiles: no content stops a follower, and what it keeps can be parsed.
func FuzzFiles(f *testing.F) {
	for _, content := range []string{cniFile("1"), ociFile("1"), cniFile("1")[:80], `{"kind":"cniCacheV1","cniArgs":[["K8S_POD_UID","u"]]}`, "\x00"} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		for name, parse := range map[string]func(string, []byte, time.Time) (buffer.About, []byte, error){source.CNI: parseCNI, source.OCI: parseOCI} {
			_, data, err := parse("id", content, time.Unix(0, 0))
			if err != nil {
				continue
			}
			if !json.Valid(data) {
				t.Errorf("%s: kept %q, want JSON", name, data)
			}
			if _, err := source.Parse(source.Record{Source: name, Node: "n", Data: data}); err != nil && name == source.OCI {
				t.Errorf("%s: kept %s, which cannot be parsed: %v", name, data, err)
			}
		}
	})
}

func TestOnlyNamesOfTheEnvironmentAreKept(t *testing.T) {
	_, data, err := parseOCI("c1", []byte(ociFile("1")), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	var spec source.OCISpec
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"PATH", "PASSWORD"}, spec.Process.Env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/app", "<redacted>", "<redacted>"}, spec.Process.Args); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
}
