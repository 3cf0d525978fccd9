// SPDX-License-Identifier: Apache-2.0

// Package render writes a trail for people (tree, table) and for machines (json, yaml).
package render

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Options say how a trail is written for people.
type Options struct {
	// Width is the number of columns; below 80 counts as 80.
	Width int
	// Verbose adds the evidence, every write and every fact.
	Verbose bool
	// Color marks with ANSI colours what the words say as well.
	Color bool
	// Problems are sources that could not be read.
	Problems []Problem
}

// Problem is a source that could not be read, and what to do about it.
type Problem struct {
	What string `json:"what"`
	Next string `json:"next"`
}

// Duration writes a duration in at most 7 columns.
func Duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 100*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// ANSI attributes.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

type paint bool

func (p paint) in(attribute, text string) string {
	if !p || attribute == "" || text == "" {
		return text
	}
	return "\x1b[" + attribute + "m" + text + "\x1b[0m"
}

// wrap breaks text into lines of at most width columns, at spaces where it can. Line breaks and the indentation after
// them are kept. Control characters, which evidence could carry to a terminal, become spaces.
func wrap(text string, width int) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		out = append(out, wrapLine(clean(line), max(width, 16))...)
	}
	return out
}

func clean(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, strings.TrimRight(line, " \r"))
}

func wrapLine(line string, width int) []string {
	var out []string
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	if len(indent) > width/2 {
		indent = ""
	}
	for utf8.RuneCountInString(line) > width {
		runes := []rune(line)
		cut := width
		for i := width; i > len(indent)+width/3; i-- {
			if runes[i] == ' ' {
				cut = i
				break
			}
		}
		out = append(out, strings.TrimRight(string(runes[:cut]), " "))
		line = indent + strings.TrimLeft(string(runes[cut:]), " ")
	}
	return append(out, line)
}

// pad fills text up to width columns.
func pad(text string, width int) string {
	if missing := width - utf8.RuneCountInString(text); missing > 0 {
		return text + strings.Repeat(" ", missing)
	}
	return text
}

// eighths are the parts of a bar's last cell.
var eighths = []string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}

// bar draws part of whole into width cells; what is shorter than an eighth of a cell stays empty.
func bar(part, whole time.Duration, width int) string {
	if part <= 0 || whole <= 0 || width <= 0 {
		return ""
	}
	n := int(float64(min(part, whole)) / float64(whole) * float64(width*8))
	return strings.Repeat("█", n/8) + eighths[n%8]
}
