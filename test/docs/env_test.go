// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMakeEnv selects the cluster as people do, in each shell and in checkouts with awkward names, and calls podtrail
// from another folder.
func TestMakeEnv(t *testing.T) {
	for _, shell := range []struct {
		name string
		args []string
		line string
	}{
		{name: "bash", args: []string{"--norc", "--noprofile", "-s"}, line: `eval "$(make -s env)"`},
		{name: "zsh", args: []string{"-f", "-i", "-s"}, line: `eval "$(make -s env)"`},
		{name: "fish", args: []string{"--no-config"}, line: `make -s env | source`},
	} {
		for _, folder := range []string{"podtrail", "a checkout", "it's a checkout", `$HOME "and" more`} {
			t.Run(shell.name+" in "+folder, func(t *testing.T) {
				path := findShell(t, shell.name)
				checkout := checkoutIn(t, folder)
				said := typeInto(t, checkout, path, shell.args, shell.line+"\ncd /\npodtrail version\nkubectl-podtrail\n")
				kubeconfig := filepath.Join(checkout, "bin", "podtrail.kubeconfig")
				for _, want := range []string{"podtrail <version> with " + kubeconfig + "\n", "kubectl-podtrail with " + kubeconfig + "\n"} {
					if !strings.Contains(said, want) {
						t.Errorf("want %q, got:\n%s", want, said)
					}
				}
				if strings.Contains(said, "warning:") {
					t.Errorf("a warning although all is there:\n%s", said)
				}
			})
		}
	}
}

func TestMakeEnvBeforeTheDemo(t *testing.T) {
	checkout := checkoutIn(t, "podtrail")
	if err := os.RemoveAll(filepath.Join(checkout, "bin")); err != nil {
		t.Fatal(err)
	}
	said := typeInto(t, checkout, "bash", []string{"--norc", "--noprofile", "-s"}, "eval \"$(make -s env)\"\necho \"selected $KUBECONFIG\"\n")
	for _, want := range []string{
		"podtrail.kubeconfig does not exist yet. Next: make demo", "selected " + filepath.Join(checkout, "bin", "podtrail.kubeconfig"),
	} {
		if !strings.Contains(said, want) {
			t.Errorf("want %q, got:\n%s", want, said)
		}
	}
}

// TestMakeHelp holds the list against the Makefile: every target that says what it does is in it, once.
func TestMakeHelp(t *testing.T) {
	said := typeInto(t, root, "bash", []string{"--norc", "--noprofile", "-s"}, "make help\n")
	described := 0
	for line := range strings.Lines(read(t, "Makefile")) {
		target, rest, found := strings.Cut(line, ":")
		if !found || !strings.Contains(rest, "## ") || strings.ContainsAny(target, " \t#") {
			continue
		}
		described++
		_, what, _ := strings.Cut(rest, "## ")
		if n := strings.Count(said, "\n  "+target+" "); n != 1 || !strings.Contains(said, what) {
			t.Errorf("make help names %s %d times; want it once, with %q", target, n, what)
		}
	}
	if described < 20 || strings.Index(said, "\nTry it\n") > strings.Index(said, "\nWork on it\n") {
		t.Errorf("%d targets; want at least 20, and what one tries first before the rest:\n%s", described, said)
	}
}

// checkoutIn makes a checkout in a folder of that name, as make demo leaves it, with stubs for its programs.
func checkoutIn(t *testing.T, name string) string {
	t.Helper()
	// A temporary folder may lie behind a link, which scripts resolve.
	parent, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	checkout := filepath.Join(parent, name)
	if err := os.CopyFS(filepath.Join(checkout, "hack"), os.DirFS(filepath.Join(root, "hack"))); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"Makefile": read(t, "Makefile"), "bin/podtrail.kubeconfig": ""}
	for _, program := range []string{"podtrail", "kubectl-podtrail"} {
		files["bin/"+program] = `#!/bin/sh
printf '%s' "${0##*/}"; for a; do printf ' <%s>' "$a"; done; echo " with $KUBECONFIG"
`
	}
	for file, content := range files {
		path := filepath.Join(checkout, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return checkout
}

// typeInto gives the lines to a shell that starts in the folder, and returns all that is said.
func typeInto(t *testing.T, folder, shell string, args []string, lines string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, args...)
	cmd.Dir, cmd.Stdin = folder, strings.NewReader(lines)
	// What make exports to a test that it runs is not what a person's shell has.
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "MAKEFLAGS=", "MAKELEVEL=", "CLUSTER_NAME=podtrail", "TERM=dumb")
	said, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() != nil {
		t.Fatalf("%s did not end within a minute; it said:\n%s", shell, said)
	}
	return string(said)
}
