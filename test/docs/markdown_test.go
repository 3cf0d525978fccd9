// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var root = filepath.Join("..", "..")

func TestCommands(t *testing.T) {
	const text = "# Title\n```sh\nmake demo\n\nkubectl get trs\n```\n" +
		"```console\n$ podtrail version\nv0.1.0\n```\n```yaml\nmake: nothing\n```\n"
	want := []string{"make demo", "kubectl get trs", "podtrail version"}
	if diff := cmp.Diff(want, Commands(text)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestLinks(t *testing.T) {
	want := []string{"docs/architecture.md", "https://example.com"}
	if diff := cmp.Diff(want, Links("[a](docs/architecture.md#parts), [b](https://example.com), [c](#here)")); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

// TestDocuments holds every document against the tree: links lead to files, make targets and scripts exist.
func TestDocuments(t *testing.T) {
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 5 {
		t.Fatalf("found only %v below %s", files, root)
	}
	makefile := read(t, "Makefile")
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			text := read(t, file)
			for _, target := range Links(text) {
				if strings.Contains(target, "://") {
					continue
				}
				if _, err := os.Stat(filepath.Join(root, filepath.Dir(file), target)); err != nil {
					t.Errorf("link to %s leads nowhere", target)
				}
			}
			for _, match := range regexp.MustCompile("(?m)(?:`|^\\$ |^ *|&& |\\$\\()make (?:-s )?([a-z][a-z0-9-]*)").FindAllStringSubmatch(text, -1) {
				if !strings.Contains(makefile, "\n"+match[1]+":") {
					t.Errorf("make %s: the Makefile has no such target", match[1])
				}
			}
			if placeholder := regexp.MustCompile(`\bTIME_[A-Z]+\b|TODO|TBD`).FindString(text); placeholder != "" {
				t.Errorf("%s is still to be filled in", placeholder)
			}
			for _, script := range regexp.MustCompile(`hack/[a-z-]+\.sh`).FindAllString(text, -1) {
				if _, err := os.Stat(filepath.Join(root, script)); err != nil {
					t.Errorf("%s does not exist", script)
				}
			}
		})
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
