// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"strings"
	"testing"
)

// TestBlocksCanBeTyped holds every command of every document against what a Mac's shell does with a pasted block.
func TestBlocksCanBeTyped(t *testing.T) {
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	typed := 0
	for _, file := range files {
		for _, block := range Blocks(read(t, file)) {
			if block.IsTyped() {
				typed++
			}
			for _, fault := range Untypable(block) {
				t.Errorf("%s, %s", file, fault)
			}
		}
	}
	if typed < 20 {
		t.Errorf("%d blocks to type in all documents, want at least 20", typed)
	}
}

func TestUntypable(t *testing.T) {
	for name, test := range map[string]struct {
		info  string
		lines []string
		want  string
	}{
		"a command alone":                      {info: "sh", lines: []string{"make demo"}},
		"a comment behind a command":           {info: "sh", lines: []string{"make test  # unit tests"}, want: `line 7: the comment "# unit tests"`},
		"a comment on a line of its own":       {info: "sh", lines: []string{"make demo", "# now look"}, want: `line 8: the comment "# now look"`},
		"a number sign inside of a word":       {info: "sh", lines: []string{"open page.html#part", `echo "${#name}" '# quoted'`}},
		"an apostrophe in a comment":           {info: "sh", lines: []string{"make demo # podtrail's parts"}, want: "the comment"},
		"an apostrophe that nothing closes":    {info: "sh", lines: []string{"echo podtrail's parts"}, want: "line 7: a quote inside of a word is not closed"},
		"two apostrophes on two lines":         {info: "sh", lines: []string{"echo podtrail's parts", "echo kubectl's too"}, want: "line 7: a quote inside of a word"},
		"a quote that goes over lines":         {info: "sh", lines: []string{"kubectl patch -p '[", `  {"op": "add"}`, "]'"}},
		"a quote that the block leaves open":   {info: "sh", lines: []string{"kubectl patch -p '[", "]"}, want: "line 8: the block ends inside of a quote"},
		"quotes that close on their line":      {info: "sh", lines: []string{`eval "$(make -s env)"`, `kubectl wait --for=jsonpath='{.a}'=3`}},
		"an escaped apostrophe":                {info: "sh", lines: []string{`echo podtrail\'s parts`}},
		"anything in a here-document":          {info: "sh", lines: []string{"kubectl apply -f - <<'END'", "# the node's", "END", "make demo"}},
		"a here-document without its end":      {info: "sh", lines: []string{"kubectl apply -f - <<END", "kind: Pod"}, want: "before the END of its here-document"},
		"a comment behind a prompt":            {info: "console", lines: []string{"$ make demo # twenty minutes"}, want: `line 7: the comment`},
		"what a command printed":               {info: "console", lines: []string{"$ make demo", "# podtrail's parts"}},
		"a comment in bash's block":            {info: "bash", lines: []string{"make demo # now"}, want: "line 7"},
		"a comment in what nobody has to type": {info: "yaml", lines: []string{"kind: Pod # podtrail's"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(Untypable(Block{Info: test.info, First: 7, Lines: test.lines}), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
