// SPDX-License-Identifier: Apache-2.0

// Package stages holds the page of each stage, so that the command can print its short form.
package stages

import (
	"embed"
	"fmt"
	"strings"

	"podtrail.dev/podtrail/trail"
)

//go:embed *.md
var pages embed.FS

// Page returns the page of a stage as Markdown; an error if there is none yet.
func Page(stage trail.Stage) (string, error) {
	name := fmt.Sprintf("%02d-%s.md", stage, strings.ToLower(stage.String()))
	text, err := pages.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("stage %d %s has no page yet", stage, stage)
	}
	return string(text), nil
}

// Short returns the beginning of a stage's page as plain text: its title and what comes before the first section that
// goes into detail, without Markdown's marks.
func Short(stage trail.Stage) (string, error) {
	page, err := Page(stage)
	if err != nil {
		return "", err
	}
	head, _, _ := strings.Cut(page, "\n## ")
	head = strings.TrimPrefix(head, "# ")
	return strings.NewReplacer("`", "", "**", "").Replace(strings.TrimSpace(head)) + "\n", nil
}
