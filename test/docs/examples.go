// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"slices"
	"strings"
)

// Example is a block of commands and what its document says that they print.
type Example struct {
	Block
	// Given are the lines of the document's blocks before it that set a variable: they hold in the same shell.
	Given []string
	// Prints are the lines of the block without an info string that follows at once; … stands for anything in a line.
	Prints []string
}

var assignment = regexp.MustCompile(`^[A-Z_]+=\S`)

// Examples returns the blocks of a document that are there to be typed, with what they print.
func Examples(text string) []Example {
	var out []Example
	blocks := Blocks(text)
	var given []string
	for i, block := range blocks {
		if !block.IsTyped() {
			continue
		}
		example := Example{Block: block, Given: slices.Clone(given)}
		for _, line := range block.Lines {
			if assignment.MatchString(line) {
				given = append(given, line)
			}
		}
		if i+1 < len(blocks) && blocks[i+1].Info == "" && blocks[i+1].First <= block.First+len(block.Lines)+3 {
			example.Prints = blocks[i+1].Lines
		}
		out = append(out, example)
	}
	return out
}

// Script is what a shell runs that has run the blocks before it.
func (e Example) Script() string {
	return strings.Join(append(slices.Clone(e.Given), e.Lines...), "\n") + "\n"
}

// Fails reports whether the last command is meant to fail: the API server refuses it, or podtrail shows a Pod that failed.
func (e Example) Fails() bool {
	return len(e.Prints) > 0 && (strings.HasPrefix(e.Prints[0], "Error from server") || strings.HasPrefix(e.Prints[0], "✗"))
}

// Missing returns the first of the lines that were promised which output lacks, or has before the line that is
// promised before it; empty if it has all of them. White space and the lines of a tree count as one blank, so that it
// does not matter where a long line of the output was wrapped.
func (e Example) Missing(output string) string {
	output = words(output)
	for _, line := range e.Prints {
		var pattern strings.Builder
		for i, part := range strings.Split(words(line), "…") {
			if i > 0 {
				pattern.WriteString(".*?")
			}
			pattern.WriteString(regexp.QuoteMeta(strings.TrimSpace(part)))
		}
		at := regexp.MustCompile(pattern.String()).FindStringIndex(output)
		if at == nil {
			return line
		}
		output = output[at[1]:]
	}
	return ""
}

func words(text string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("┃", " ", "│", " ").Replace(text)), " ")
}
