// SPDX-License-Identifier: Apache-2.0

// Package scripts tests the shell scripts below hack with a docker that plays a part (testdata/docker): a rate limit,
// podman's shim, a small virtual machine. The real Docker is not touched. The bash and the make that are first on the PATH
// run them, so that a Mac tests bash 3.2 and make 3.81.
package scripts

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// libraries sources what cluster-up sources.
const libraries = `. "$REPOSITORY/hack/lib/common.sh"
for lib in packages components docker cluster registry rootfs container-images programs images preconditions node-image inotify docker-side repair; do
	. "$ROOT/hack/lib/$lib.sh"
done
# No package is installed here, whoever runs the tests.
install_packages() { echo "would install: $*"; exit 97; }
node_image_reference() { echo podtrail/node:test; }
`

// machine is a computer with a docker that plays a part.
type machine struct {
	// folder holds bin (first on the PATH), calls (what docker was called with), images, cache and proc.
	folder string
	env    map[string]string
}

// newMachine gives a machine on which all is well.
func newMachine(t *testing.T) machine {
	t.Helper()
	folder := t.TempDir()
	m := machine{folder: folder, env: map[string]string{
		"PATH":           filepath.Join(folder, "bin") + ":" + os.Getenv("PATH"),
		"HOME":           os.Getenv("HOME"),
		"TMPDIR":         t.TempDir(),
		"REPOSITORY":     repositoryRoot(t),
		"PODTRAIL_CACHE": filepath.Join(folder, "cache"),
		"DOCKER_CONFIG":  filepath.Join(folder, "docker-config"),
		"FAKE_FOLDER":    folder,
		"FAKE_ARCH":      runtime.GOARCH,
		"FAKE_DISK":      "99999999",

		"FAKE_INFO_MemTotal":      "8000000000",
		"FAKE_INFO_DockerRootDir": "/not/on/this/machine",
		"FAKE_INFO_CgroupVersion": "2",
		"FAKE_INFO_MemoryLimit":   "true",
		"FAKE_INFO_PidsLimit":     "true",
		"FAKE_INFO_CPUShares":     "true",
	}}
	for _, name := range []string{"GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOTOOLCHAIN", "GOROOT", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			m.env[name] = value
		}
	}
	m.script(t, "docker", readFile(t, filepath.Join("testdata", "docker")))
	m.write(t, "calls", "")
	m.write(t, "images", "")
	m.write(t, "proc/sys/fs/inotify/max_user_instances", "8192\n")
	m.write(t, "proc/self/status", "Name:\tsed\nCapBnd:\t000001ffffffffff\n")
	return m
}

// script puts a program into the folder that is first on the PATH.
func (m machine) script(t *testing.T, name, text string) {
	t.Helper()
	m.write(t, filepath.Join("bin", name), text)
	if err := os.Chmod(filepath.Join(m.folder, "bin", name), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (m machine) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(m.folder, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m machine) read(t *testing.T, name string) string {
	t.Helper()
	return readFile(t, filepath.Join(m.folder, name))
}

// set changes variables: NAME=VALUE.
func (m machine) set(variables ...string) {
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		m.env[name] = value
	}
}

// result is what a script did.
type result struct {
	code   int
	output string
}

// source runs lines of shell after the libraries.
func (m machine) source(t *testing.T, lines string) result {
	t.Helper()
	return m.run(t, repositoryRoot(t), "bash", "-c", libraries+lines)
}

// run runs a program with the machine's variables and nothing else of the environment.
func (m machine) run(t *testing.T, folder string, command ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = folder
	// A process group, so that a script that does not end leaves nothing behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// What a script leaves in the background must not hold the output open.
	cmd.WaitDelay = 5 * time.Second
	for _, name := range slices.Sorted(maps.Keys(m.env)) {
		cmd.Env = append(cmd.Env, name+"="+m.env[name])
	}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("running %q: %v\n%s", command, err, &output)
	}
	if ctx.Err() != nil {
		t.Fatalf("%q did not end within a minute; it said:\n%s", command, &output)
	}
	return result{code: cmd.ProcessState.ExitCode(), output: output.String()}
}

// want is what a result must be.
type want struct {
	code int
	// says and not are parts of the output that must be there and must not.
	says, not []string
}

func (r result) check(t *testing.T, want want) {
	t.Helper()
	if r.code != want.code {
		t.Errorf("exit code = %d, want %d", r.code, want.code)
	}
	for _, part := range want.says {
		if !strings.Contains(r.output, part) {
			t.Errorf("the output lacks %q", part)
		}
	}
	// No script may end in an error of the shell's own.
	for _, part := range append([]string{"syntax error", "unbound variable", "command not found", "does not play"}, want.not...) {
		if strings.Contains(r.output, part) {
			t.Errorf("the output has %q", part)
		}
	}
	if t.Failed() {
		t.Logf("output:\n%s", r.output)
	}
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// without gives a PATH with everything that is on the present one but these programs.
func without(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, from := range filepath.SplitList(os.Getenv("PATH")) {
		entries, err := os.ReadDir(from)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			to := filepath.Join(folder, entry.Name())
			if _, err := os.Lstat(to); err == nil || slices.Contains(names, entry.Name()) {
				continue
			}
			if err := os.Symlink(filepath.Join(from, entry.Name()), to); err != nil {
				t.Fatal(err)
			}
		}
	}
	return folder
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
