// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Untypable says what keeps the commands of a block from being pasted into any interactive shell, one sentence for
// each fault: a comment, because zsh takes it for arguments unless interactivecomments is set; and a quote that its
// line or its block does not close, so that the shell waits for more. A quote that opens at the beginning of a word
// may go over several lines, an apostrophe inside of a word may not. Here-documents may hold anything.
func Untypable(block Block) []string {
	switch {
	case block.IsTyped():
		return untypable(block.Lines, block.First)
	case block.Info == "console":
		var out []string
		for i, line := range block.Lines {
			if command, prompted := strings.CutPrefix(strings.TrimSpace(line), "$ "); prompted {
				out = append(out, untypable([]string{command}, block.First+i)...)
			}
		}
		return out
	}
	return nil
}

// untypable does it for lines that are typed one after the other, the first of which has this number.
func untypable(lines []string, number int) []string {
	var out []string
	var quotes quoting
	end := "" // what ends the here-document that the line is in
	for i, line := range lines {
		if end != "" {
			if strings.TrimSpace(line) == end {
				end = ""
			}
			continue
		}
		if comment := quotes.read(line); comment != "" {
			out = append(out, fmt.Sprintf("line %d: the comment %q: zsh takes it for arguments; say it in the text", number+i, comment))
		}
		if quotes.open != 0 && quotes.inWord {
			out = append(out, fmt.Sprintf("line %d: a quote inside of a word is not closed: %s", number+i, line))
			quotes = quoting{}
		}
		if match := hereDocument.FindStringSubmatch(line); match != nil && quotes.open == 0 {
			end = match[1]
		}
	}
	if quotes.open != 0 {
		out = append(out, fmt.Sprintf("line %d: the block ends inside of a quote", number+len(lines)-1))
	}
	if end != "" {
		out = append(out, fmt.Sprintf("line %d: the block ends before the %s of its here-document", number+len(lines)-1, end))
	}
	return out
}

var hereDocument = regexp.MustCompile(`<<-?\s*['"]?([A-Z]+)['"]?`)

// quoting is what a shell knows about quotes at the end of a line.
type quoting struct {
	open   rune // the quote that is open, else 0
	inWord bool // it opened after a letter or a digit
}

// read goes through one line, and returns the comment on it if there is one.
func (q *quoting) read(line string) string {
	before := ' '
	escaped := false
	for i, c := range line {
		switch {
		case escaped:
			escaped = false
		case c == '\\' && q.open != '\'':
			escaped = true
		case q.open != 0:
			if c == q.open {
				*q = quoting{}
			}
		case c == '\'' || c == '"':
			*q = quoting{open: c, inWord: unicode.IsLetter(before) || unicode.IsDigit(before)}
		case c == '#' && unicode.IsSpace(before):
			return line[i:]
		}
		before = c
	}
	return ""
}
