// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"sigs.k8s.io/yaml"

	"podtrail.dev/podtrail/trail"
)

// document is the machine form: the trail, and the sources that could not be read.
type document struct {
	trail.Trail
	Problems []Problem `json:"problems,omitempty"`
}

// JSON writes all that the trail holds.
func JSON(out io.Writer, t trail.Trail, problems []Problem) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document{t, problems}); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// YAML writes the same document as JSON.
func YAML(out io.Writer, t trail.Trail, problems []Problem) error {
	data, err := yaml.Marshal(document{t, problems})
	if err != nil {
		return fmt.Errorf("encode YAML: %w", err)
	}
	if _, err := out.Write(data); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return nil
}

// Table writes one line for each observation, for grep and awk: nothing is wrapped or left out.
func Table(out io.Writer, t trail.Trail) error {
	var text strings.Builder
	text.WriteString("AT\tTOOK\tOBJECT\tSTAGE\tEVIDENCE\tWHAT\n")
	t.Walk(func(o *trail.Object) {
		entries := slices.Concat(o.Created.Stages, o.Stages)
		for _, w := range o.Writes {
			entries = append(entries, w.Stages...)
		}
		for _, e := range entries {
			for _, cells := range tableRows(t, o, e) {
				text.WriteString(strings.Join(cells, "\t") + "\n")
			}
		}
	})
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, err := io.WriteString(table, text.String())
	if err = errors.Join(err, table.Flush()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func tableRows(t trail.Trail, o *trail.Object, e trail.Entry) [][]string {
	stage := fmt.Sprintf("%d/%s", e.Stage, e.Stage)
	if e.Missing != nil {
		return [][]string{{"-", "-", Reference(o.Subject), stage, "-", "no evidence: " + oneLine(e.Missing.Why)}}
	}
	var rows [][]string
	for _, obs := range e.Observations {
		at, took := "-", "-"
		if !obs.Time.IsZero() && !t.Start.IsZero() {
			at = fmt.Sprintf("%.3fs", obs.Time.Sub(t.Start).Seconds())
		}
		if obs.Duration > 0 {
			took = fmt.Sprintf("%.3fs", obs.Duration.Seconds())
		}
		what := obs.Summary + inferredMark(obs)
		if obs.Failure != nil {
			what += ": " + failureWords(*obs.Failure)
		}
		rows = append(rows, []string{at, took, Reference(o.Subject), stage, obs.Evidence.Source + ":" + obs.Evidence.ID, oneLine(what)})
	}
	return rows
}

// oneLine joins lines, and turns tabs and control characters into spaces.
func oneLine(text string) string {
	return strings.Join(strings.Fields(clean(strings.ReplaceAll(text, "\n", " · "))), " ")
}
