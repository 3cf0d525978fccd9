// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shellTimeout bounds one block in one shell: a shell that waits for more than it got would wait forever.
const shellTimeout = 20 * time.Second

// stub plays every program that documents call. It writes down what it was called with, and what it was to read, into a
// file of its own: the programs of a pipeline run at once.
const stub = `#!/bin/sh
{
	printf '%s' "${0##*/}"
	for a; do printf ' <%s>' "$a"; done
	echo
	case " $* " in *" - "* | *" -i "*) /bin/cat ;; esac
} >"$CALLS/$$"
case "${0##*/}" in kubectl) echo pod/played ;; esac
`

// programs are those that the documents' commands call, apart from what a shell has built in.
var programs = []string{
	"make", "kubectl", "podtrail", "docker", "go", "git", "curl", "cat", "sed", "grep", "tee", "tar", "sudo", "sysctl", "colima", "du",
	"cp", "mkdir", "ssh", "head", "sleep", "zstd", "gzip", "scp", "rsync",
}

// TestBlocksInZsh types every block of every document into an interactive zsh without startup files, as a Mac's is, and
// into bash, with a stub for each program: both must call the same programs with the same arguments.
func TestBlocksInZsh(t *testing.T) {
	zsh := findShell(t, "zsh")
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, block := range Blocks(read(t, file)) {
			if !block.IsTyped() {
				continue
			}
			text := withoutJobs(block.Text())
			want, _ := callsOf(t, text, "bash", "--norc", "--noprofile", "-s")
			got, said := callsOf(t, text, zsh, "-f", "-i", "-s")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, line %d: zsh calls other programs than bash (-bash +zsh):\n%s\nzsh said:\n%s", file, block.First, diff, said)
			}
			if strings.Contains(said, "zsh: ") {
				t.Errorf("%s, line %d: zsh complains:\n%s", file, block.First, said)
			}
		}
	}
}

// TestZshAsItIs holds the test before against the fault it is there for.
func TestZshAsItIs(t *testing.T) {
	zsh := findShell(t, "zsh")
	const block = "make demo # cluster, podtrail's parts\nmake test\n"
	got, said := callsOf(t, block, zsh, "-f", "-i", "-s")
	if got != "" || !strings.Contains(said, "quote>") {
		t.Errorf("zsh called %q and said %q; want it to wait at quote>", got, said)
	}
}

// findShell skips the test where that shell is not installed, except where all shells must be there.
func findShell(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("PODTRAIL_ALL_SHELLS") != "":
		t.Fatalf("PODTRAIL_ALL_SHELLS is set, and there is no %s: install it", name)
	}
	t.Skipf("NOT TESTED: there is no %s here; install it, and set PODTRAIL_ALL_SHELLS=1 to have this fail without it", name)
	return ""
}

var job = regexp.MustCompile(`(?m) &$|^kill %1$`)

// withoutJobs makes background jobs ordinary commands, because when they run is chance.
func withoutJobs(text string) string { return job.ReplaceAllString(text, "") }

// callsOf returns what a shell that reads the text calls, sorted, and what it says.
func callsOf(t *testing.T, text, shell string, args ...string) (string, string) {
	t.Helper()
	folder := t.TempDir()
	bin := filepath.Join(folder, "bin")
	calls := filepath.Join(folder, "calls")
	work := filepath.Join(folder, "work")
	for _, made := range []string{bin, calls, work} {
		if err := os.Mkdir(made, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range programs {
		if err := os.WriteFile(filepath.Join(bin, program), []byte(stub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), shellTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = work
	cmd.Env = []string{"PATH=" + bin, "CALLS=" + calls, "HOME=" + folder, "TERM=dumb"}
	cmd.Stdin = strings.NewReader(text)
	said, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s did not end within %s; it said:\n%s", shell, shellTimeout, said)
	}
	if strings.Contains(string(said), "command not found") {
		t.Errorf("%s: %v: a program that has no stub: add it to programs\n%s", shell, err, said)
	}
	files, err := filepath.Glob(filepath.Join(calls, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var called []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		called = append(called, string(text))
	}
	slices.Sort(called)
	return strings.Join(called, ""), string(said)
}
