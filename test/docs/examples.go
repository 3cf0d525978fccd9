// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"strings"
)

// Example is a block of commands and what its document says that they print.
type Example struct {
	Block
	// Prints are the lines of the block without an info string that follows at once; … stands for anything in a line.
	Prints []string
}

// Examples returns the blocks of a document that are there to be typed, with what they print.
func Examples(text string) []Example {
	var out []Example
	blocks := Blocks(text)
	for i, block := range blocks {
		if !block.IsTyped() {
			continue
		}
		example := Example{Block: block}
		if i+1 < len(blocks) && blocks[i+1].Info == "" && blocks[i+1].First <= block.First+len(block.Lines)+3 {
			example.Prints = blocks[i+1].Lines
		}
		out = append(out, example)
	}
	return out
}

// Fails reports whether the last command is meant to fail: the API server refuses it, or podtrail shows a Pod that failed.
func (e Example) Fails() bool {
	return len(e.Prints) > 0 && (strings.HasPrefix(e.Prints[0], "Error from server") || strings.HasPrefix(e.Prints[0], "✗"))
}

// Missing returns the first of the lines that were promised which output lacks, or has before the line that is
// promised before it; empty if it has all of them. How much white space stands between two words does not matter.
func (e Example) Missing(output string) string {
	output = strings.Join(strings.Fields(output), " ")
	for _, line := range e.Prints {
		var pattern strings.Builder
		for i, part := range strings.Split(strings.Join(strings.Fields(line), " "), "…") {
			if i > 0 {
				pattern.WriteString(".*?")
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		at := regexp.MustCompile(pattern.String()).FindStringIndex(output)
		if at == nil {
			return line
		}
		output = output[at[1]:]
	}
	return ""
}
