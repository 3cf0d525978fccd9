// SPDX-License-Identifier: Apache-2.0

// Package docs reads the project's documents, so that tests can hold them against the code and the cluster.
package docs

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
)

// Files lists the Markdown files below root, as paths relative to it.
func Files(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "testdata"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		relative, err := filepath.Rel(root, path)
		files = append(files, relative)
		return err
	})
	return files, err
}

// Block is a fenced block of code: its info string, such as "sh" or "console", the number of its first line in the
// document, and its lines.
type Block struct {
	Info  string
	First int
	Lines []string
}

// Text returns the block's lines as one text.
func (b Block) Text() string { return strings.Join(b.Lines, "\n") + "\n" }

// IsTyped reports whether all lines of the block are there to be typed or pasted into a shell.
func (b Block) IsTyped() bool { return b.Info == "sh" || b.Info == "bash" }

// Blocks returns the fenced blocks of a document in their order.
func Blocks(text string) []Block {
	var blocks []Block
	inside := false
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case strings.HasPrefix(trimmed, "```") && inside:
			inside = false
		case strings.HasPrefix(trimmed, "```"):
			inside = true
			blocks = append(blocks, Block{Info: strings.TrimPrefix(trimmed, "```"), First: number + 1})
		case inside:
			last := &blocks[len(blocks)-1]
			last.Lines = append(last.Lines, line)
		}
	}
	return blocks
}

// Commands returns what a document's reader types: each line of its sh blocks, and each line of its console blocks
// that begins with a prompt.
func Commands(text string) []string {
	var commands []string
	for _, block := range Blocks(text) {
		for _, line := range block.Lines {
			line = strings.TrimSpace(line)
			command, prompted := strings.CutPrefix(line, "$ ")
			if (block.IsTyped() || block.Info == "console" && prompted) && line != "" {
				commands = append(commands, command)
			}
		}
	}
	return commands
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

// Links returns the targets of a document's links, without their fragments.
func Links(text string) []string {
	var links []string
	for _, match := range link.FindAllStringSubmatch(text, -1) {
		links = append(links, match[1])
	}
	return links
}

// The marks around the output of a command.
const (
	outputMark = "<!-- output of: "
	outputEnd  = "<!-- end of output -->"
)

// Refill replaces each marked output of a document by what run prints for its command, where run knows it, and
// returns how many it knew.
func Refill(text string, run func(command string) (string, bool)) (string, int) {
	var out strings.Builder
	known := 0
	for text != "" {
		before, rest, found := strings.Cut(text, outputMark)
		out.WriteString(before)
		if !found {
			break
		}
		command, rest, _ := strings.Cut(rest, " -->\n")
		old, after, ended := strings.Cut(rest, outputEnd)
		if !ended {
			out.WriteString(outputMark + command + " -->\n" + rest)
			break
		}
		out.WriteString(outputMark + command + " -->\n")
		if printed, ok := run(command); ok {
			known++
			old = "```console\n$ " + command + "\n" + printed + "```\n"
		}
		out.WriteString(old + outputEnd)
		text = after
	}
	return out.String(), known
}
