// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// scripts gives all shell scripts below hack and their text.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"hack/*.sh", "hack/lib/*.sh", "test/scripts/testdata/docker"} {
		files, err := filepath.Glob(filepath.Join(repositoryRoot(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name, err := filepath.Rel(repositoryRoot(t), file)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = readFile(t, file)
		}
	}
	if len(texts) < 30 {
		t.Fatalf("found %d scripts, want all of them", len(texts))
	}
	return texts
}

// TestScriptsParse with the bash that is first on the PATH: 3.2 on a Mac.
func TestScriptsParse(t *testing.T) {
	m := newMachine(t)
	for name := range scripts(t) {
		m.run(t, repositoryRoot(t), "bash", "-n", name).check(t, want{})
	}
}

// TestSubshellsEndScripts: with bash 3.2 a subshell that fails does not end a script in which more follows.
func TestSubshellsEndScripts(t *testing.T) {
	for name, text := range scripts(t) {
		for _, line := range bareSubshells(text) {
			t.Errorf("%s:%d: a subshell whose failure bash 3.2 ignores: add || return 1, || exit 1 or what else is right", name, line)
		}
	}
}

var (
	opening = regexp.MustCompile(`^(\t*)\((?:[^(]|$)`)
	// A function's or a script's last command ends it in every bash.
	last = regexp.MustCompile(`^\t*(\}|;;|fi|$)`)
)

// bareSubshells gives the numbers of the lines on which a subshell ends that is neither tested nor last.
func bareSubshells(text string) []int {
	var found []int
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		match := opening.FindStringSubmatch(lines[i])
		if match == nil {
			continue
		}
		end := i
		if !strings.Contains(lines[i], ")") || strings.HasSuffix(lines[i], "&&") || strings.HasSuffix(lines[i], "\\") {
			for end++; end < len(lines)-1 && strings.HasPrefix(lines[end], match[1]+"\t"); end++ {
				continue
			}
			if !strings.HasPrefix(lines[end], match[1]+")") {
				end--
			}
		}
		if strings.HasSuffix(lines[end], ")") && !last.MatchString(lines[end+1]) {
			found = append(found, end+1)
		}
		i = end
	}
	return found
}

func TestBareSubshells(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want int
	}{
		"in a loop":              {text: "for x in a b; do\n\t(cd $x && make)\ndone\n", want: 1},
		"with more after it":     {text: "f() {\n\t(cd x && make)\n\techo done\n}\n", want: 1},
		"over lines":             {text: "(cd x && a &&\n\tb)\necho done\n", want: 1},
		"a block":                {text: "f() {\n\t(\n\t\tcd x\n\t\tmake\n\t)\n\techo done\n}\n", want: 1},
		"tested":                 {text: "for x in a b; do\n\t(cd $x && make) || exit 1\ndone\n"},
		"a function's last":      {text: "f() {\n\t(cd x && make)\n}\n"},
		"a script's last":        {text: "(cd x && make)\n"},
		"in the background":      {text: "(\n\tsleep 1\n) &\necho\n"},
		"an arithmetic command":  {text: "((x = 1))\necho\n"},
		"the first of a pipe":    {text: "(cd x && ls) | wc\necho\n"},
		"a function's only line": {text: "f() { (cd x); }\necho\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(bareSubshells(tc.text)); got != tc.want {
				t.Errorf("found %d bare subshells, want %d, in\n%s", got, tc.want, tc.text)
			}
		})
	}
}

// TestNothingReopensLogs: tee /dev/stderr opens the file behind it once more and empties it.
func TestNothingReopensLogs(t *testing.T) {
	reopened := regexp.MustCompile(`(tee|>>?) */dev/std(err|out)`)
	for name, text := range scripts(t) {
		if found := reopened.FindString(text); found != "" {
			t.Errorf("%s has %q, which empties a log on Linux: use >&2", name, found)
		}
	}
}
