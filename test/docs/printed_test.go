// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// hint matches a line that a program prints for people to type, with a comment behind the command.
var hint = regexp.MustCompile(`(?m)^\s*(?:next:|use it:|\$)?\s*(?:(?:make|kubectl|podtrail|docker|eval|export|sudo|go|git) .*\S\s+#\s.*)$`)

// TestWhatProgramsPrintCanBeTyped holds the texts of our programs and scripts against comments, as TestBlocksCanBeTyped
// does it for documents.
func TestWhatProgramsPrintCanBeTyped(t *testing.T) {
	texts := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		var found []string
		switch {
		case strings.HasSuffix(path, "_test.go"):
		case filepath.Ext(path) == ".go":
			found, err = goStrings(path)
		case filepath.Ext(path) == ".sh":
			found, err = hereDocuments(path)
		}
		texts += len(found)
		for _, text := range found {
			if line := hint.FindString(text); line != "" {
				t.Errorf("%s prints a command with a comment behind it, which zsh takes for arguments: %s", path, strings.TrimSpace(line))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if texts < 100 {
		t.Errorf("%d texts in all programs and scripts, want at least 100", texts)
	}
}

func TestHint(t *testing.T) {
	for text, want := range map[string]bool{
		"\n  eval \"$(make -s env)\"        # this shell's kubectl\n": true,
		"next: podtrail trail pod/x   # and look":                     true,
		"  make demo\n  make test\n":                                  false,
		"# eval is evil":                                              false,
		"open README.md#how-to-get-out":                               false,
	} {
		if got := hint.MatchString(text); got != want {
			t.Errorf("%q is a hint with a comment: %t, want %t", text, got, want)
		}
	}
}

// goStrings returns the string literals of a Go file.
func goStrings(path string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var out []string
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				out = append(out, text)
			}
		}
		return true
	})
	return out, nil
}

var (
	document = regexp.MustCompile(`(?ms)<<-?'?([A-Z]+)'?[^\n]*\n(.*?)^\t*(?:END|EOF)$`)
	said     = regexp.MustCompile(`(?m)^\s*(?:say|warn|die|echo) "(.*)"$`)
)

// hereDocuments returns what a script prints: its here-documents, and what it says in one line.
func hereDocuments(path string) ([]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, match := range document.FindAllStringSubmatch(string(content), -1) {
		out = append(out, match[2])
	}
	for _, match := range said.FindAllStringSubmatch(string(content), -1) {
		out = append(out, match[1])
	}
	return out, nil
}
