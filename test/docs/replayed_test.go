// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/cmd/podtrail/commands"
	"podtrail.dev/podtrail/docs/stages"
	"podtrail.dev/podtrail/trail"
)

// go test ./test/docs -run TestReplayedOutputs -update writes the outputs anew; make replayed-docs does that.
var update = flag.Bool("update", false, "write the outputs that documents show of recordings anew")

// TestReplayedOutputs holds every output that a document shows of a recording against what the command prints now.
func TestReplayedOutputs(t *testing.T) {
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	t.Chdir(root)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, n := Refill(string(text), func(command string) (string, bool) {
			if !strings.Contains(command, "docs/recordings/") {
				return "", false // made on a cluster, by make docs-output
			}
			var out bytes.Buffer
			args := strings.Fields(command)
			if code := commands.Main("", args, strings.NewReader(""), &out, &out); code > 1 {
				t.Errorf("%s: %s ends with %d:\n%s", file, command, code, out.String())
			}
			return out.String(), true
		})
		shown += n
		if want == string(text) {
			continue
		}
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s shows what is not printed any more; make replayed-docs writes it anew (-shown +printed):\n%s",
			file, cmp.Diff(string(text), want))
	}
	if shown < 9 {
		t.Errorf("%d outputs of recordings in all documents, want at least one for each stage page", shown)
	}
}

func TestEveryStagePageHasItsParts(t *testing.T) {
	for stage := trail.Submit; stage <= trail.Run; stage++ {
		page, err := stages.Page(stage)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, part := range []string{
			"## What happens", "## Why it matters", "## In detail", "## Upstream", "## On a real cluster", "## What people usually get wrong",
			"See it: `podtrail ",
		} {
			if !strings.Contains(page, part) {
				t.Errorf("%s: lacks %q", stage, part)
			}
		}
		short, err := stages.Short(stage)
		if err != nil || len(short) < 100 || strings.Contains(short, "What happens") {
			t.Errorf("%s: short form %q, %v", stage, short, err)
		}
	}
}

func TestRefill(t *testing.T) {
	const before = "a\n<!-- output of: one -->\n```console\n$ one\nold\n```\n<!-- end of output -->\nb\n" +
		"<!-- output of: two -->\n```console\nkept\n```\n<!-- end of output -->\n"
	want := strings.Replace(before, "old", "new", 1)
	got, n := Refill(before, func(command string) (string, bool) { return "new\n", command == "one" })
	if got != want || n != 1 {
		t.Errorf("%d filled: %s", n, cmp.Diff(want, got))
	}
}
