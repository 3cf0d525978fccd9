// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// notedGo stands in for go: it notes how it was called, and answers what the scripts ask.
const notedGo = `#!/bin/sh
case $1 in
env) exec "$REAL_GO" "$@" ;;
list)
	echo podtrail.dev/podtrail/one
	echo podtrail.dev/podtrail/integration
	exit
	;;
esac
echo "go $* | GOFLAGS=$GOFLAGS GOWORK=$GOWORK CGO_ENABLED=$CGO_ENABLED in $(basename "$PWD")" >>"$FAKE_FOLDER/go-calls"
case "$CGO_ENABLED $*" in
*" test -race"*) [ -z "$FAKE_RACE" ] || { echo "$FAKE_RACE"; exit 1; } ;;
*vet*) [ "$(basename "$PWD")" != scheduler-plugin ] || exit 1 ;;
esac
`

// checkout copies the scripts and the Makefile into a folder with a blank in its name, which is a git repository.
func checkout(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "my podtrail")
	root := repositoryRoot(t)
	for _, name := range []string{"scheduler-plugin", "test/upstream"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"Makefile", ".gitattributes", ".gitignore", "hack"} {
		command(t, root, "cp", "-R", name, folder)
	}
	command(t, folder, "git", "init", "--quiet", ".")
	command(t, folder, "git", "add", "--all")
	return folder
}

func command(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = folder
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}

// noting gives a machine whose go only notes.
func noting(t *testing.T) machine {
	t.Helper()
	m := newMachine(t)
	m.set("REAL_GO="+lookPath(t, "go"), "FAKE_RACE=")
	m.script(t, "go", notedGo)
	m.write(t, "go-calls", "")
	return m
}

func TestGoFlags(t *testing.T) {
	for name, tc := range map[string]struct{ flags, want string }{
		"none":                       {want: "-trimpath -buildvcs=false"},
		"a mode of modules":          {flags: "-mod=mod", want: "-trimpath -buildvcs=false"},
		"a mode between other flags": {flags: "-tags=x --mod=vendor -count=1", want: "-trimpath -buildvcs=false -tags=x -count=1"},
		"our own":                    {flags: "-trimpath -buildvcs=auto -modfile=/my/go.mod", want: "-trimpath -buildvcs=false"},
	} {
		t.Run(name, func(t *testing.T) {
			m := noting(t)
			m.set("GOFLAGS="+tc.flags, "GOWORK=/my/go.work", "GO111MODULE=off")
			script := m.source(t, `echo "$GOFLAGS GOWORK=$GOWORK GO111MODULE=$GO111MODULE"`)
			script.check(t, want{says: []string{tc.want + " GOWORK=off GO111MODULE=on\n"}})
			m.run(t, checkout(t), "make", "run").check(t, want{})
			if calls := m.read(t, "go-calls"); !strings.Contains(calls, "go run ./cmd/manager") || !strings.Contains(calls, "| GOFLAGS="+tc.want+" GOWORK=off ") {
				t.Errorf("make run called\n%swant GOFLAGS=%s and GOWORK=off", calls, tc.want)
			}
		})
	}
}

// TestForeignCheckout: git refuses a repository of another user, and says so by itself if it is made to think it is one.
func TestForeignCheckout(t *testing.T) {
	folder := checkout(t)
	m := newMachine(t)
	m.set("GIT_TEST_ASSUME_DIFFERENT_OWNER=1", "REPOSITORY="+folder)
	m.run(t, folder, "git", "status").check(t, want{code: 128, says: []string{"dubious ownership"}})
	t.Run("the list of files", func(t *testing.T) {
		m.run(t, t.TempDir(), "bash", folder+"/hack/list-scripts.sh").check(t, want{says: []string{"hack/cluster-up.sh\n", "hack/lib/common.sh\n"}, not: []string{"dubious"}})
	})
	t.Run("a copy", func(t *testing.T) {
		m.run(t, t.TempDir(), "bash", "-c", `. "$REPOSITORY/hack/lib/common.sh"; mkdir "$TMPDIR/copy"; copy_to "$TMPDIR/copy"; cat "$TMPDIR/copy/.gitattributes"`).
			check(t, want{says: []string{"eol=lf"}})
	})
	t.Run("a build", func(t *testing.T) {
		for name, text := range map[string]string{"go.mod": "module example.org/x\n\ngo 1.21\n", "main.go": "package main\n\nfunc main() {}\n"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		// Go's default, whatever this machine's Go is set to.
		m.set("GOFLAGS=-buildvcs=auto")
		m.run(t, folder, "bash", "-c", `. hack/lib/common.sh; go build -o "$TMPDIR/x" .`).check(t, want{})
		m.run(t, folder, "bash", "-c", `go build -o "$TMPDIR/x" .`).check(t, want{code: 1, says: []string{"error obtaining VCS status"}})
	})
	t.Run("no checkout", func(t *testing.T) {
		bare := t.TempDir()
		command(t, folder, "cp", "-R", "hack", bare)
		m.run(t, bare, "bash", "hack/list-scripts.sh").check(t, want{code: 1, says: []string{"is no git checkout", "use a clone"}})
	})
}

// TestLineEnds clones as Git for Windows does.
func TestLineEnds(t *testing.T) {
	folder := checkout(t)
	command(t, folder, "git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false", "commit", "--quiet", "--message=x")
	clone := filepath.Join(t.TempDir(), "clone")
	command(t, folder, "git", "-c", "core.autocrlf=true", "clone", "--quiet", folder, clone)
	if strings.Contains(readFile(t, filepath.Join(clone, "hack/cluster-up.sh")), "\r") {
		t.Error("a clone with core.autocrlf=true has scripts that end in carriage returns")
	}
}

// TestRaceDetector runs hack/run-tests.sh unit with a go that only notes.
func TestRaceDetector(t *testing.T) {
	for name, tc := range map[string]struct {
		race string
		path []string
		want want
		runs string
	}{
		"it starts": {
			want: want{not: []string{"race detector"}}, runs: "go test -race -timeout 10m",
		},
		"no C compiler": {
			race: `cgo: C compiler "gcc" not found: exec: "gcc": executable file not found in $PATH`, path: []string{"gcc", "cc", "clang"},
			want: want{says: []string{"no C compiler: without the race detector\n"}}, runs: "go test -timeout 10m",
		},
		"it cannot start": {
			race: "FATAL: ThreadSanitizer: unsupported VMA range",
			want: want{says: []string{"without the race detector, which does not start here: FATAL: ThreadSanitizer: unsupported VMA range\n"}}, runs: "go test -timeout 10m",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := noting(t)
			m.set("FAKE_RACE=" + tc.race)
			if tc.race != "" {
				// What go env CC names must be here or not, whatever this machine has.
				m.set("CC=gcc")
				m.script(t, "gcc", "#!/bin/sh\n")
			}
			if tc.path != nil {
				m.set("PATH=" + m.folder + "/bin:" + without(t, tc.path...))
				if err := os.Remove(filepath.Join(m.folder, "bin", "gcc")); err != nil {
					t.Fatal(err)
				}
			}
			m.run(t, checkout(t), "bash", "hack/run-tests.sh", "unit").check(t, tc.want)
			if calls := m.read(t, "go-calls"); !strings.Contains(calls, tc.runs) {
				t.Errorf("go was called with\n%swant %q", calls, tc.runs)
			}
		})
	}
}

// TestLogIsKept: the log of `make test >log 2>&1` is a file that was opened without appending.
func TestLogIsKept(t *testing.T) {
	m := noting(t)
	folder := checkout(t)
	if err := os.WriteFile(filepath.Join(folder, "hack/install-envtest.sh"), []byte("#!/bin/sh\necho getting it >&2\necho /assets\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.run(t, folder, "bash", "-c", `{ echo "the unit tests failed"; hack/run-tests.sh integration; } >log 2>&1`).check(t, want{})
	log := readFile(t, filepath.Join(folder, "log"))
	for _, line := range []string{"the unit tests failed\n", "getting it\n", "go test integration: .\n"} {
		if !strings.Contains(log, line) {
			t.Errorf("the log lacks %q:\n%s", line, log)
		}
	}
}

// TestAssetsOnly: install-envtest's callers take all of its standard output for the folder.
func TestAssetsOnly(t *testing.T) {
	m := noting(t)
	m.script(t, "go", "#!/bin/sh\ncase $* in *installed-only*) echo none >&2; exit 1 ;; *list*) exit ;; *\"setup-envtest use\"*) echo fetching >&2; echo /assets ;; *) exec \"$REAL_GO\" \"$@\" ;; esac\n")
	m.run(t, checkout(t), "bash", "-c", `hack/install-envtest.sh 2>/dev/null`).check(t, want{says: []string{"/assets\n"}, not: []string{"fetching", "none"}})
}

// TestVetGoesOn: under make 3.81 recipes lack -e, and one module's failure must not hide another's.
func TestVetGoesOn(t *testing.T) {
	m := noting(t)
	m.run(t, checkout(t), "make", "vet").check(t, want{code: 2, says: []string{"go vet objects in: scheduler-plugin"}})
	if calls := m.read(t, "go-calls"); strings.Count(calls, "go vet ./...") != 3 {
		t.Errorf("go was called with\n%swant go vet in 3 modules", calls)
	}
}

// TestMeasurementsNeedLinux: they say so before they build anything.
func TestMeasurementsNeedLinux(t *testing.T) {
	for _, name := range []string{"bench-admission", "bench-controller", "bench-scheduler", "bench-recorder"} {
		t.Run(name, func(t *testing.T) {
			m := noting(t)
			m.script(t, "uname", "#!/bin/sh\necho Darwin\n")
			m.run(t, repositoryRoot(t), "bash", "hack/"+name+".sh").check(t, want{code: 1, says: []string{"error: the measurement of processor time reads /proc, so it runs on Linux only; this is Darwin"}})
			if calls := m.read(t, "go-calls"); calls != "" {
				t.Errorf("it had called\n%s", calls)
			}
		})
	}
}
