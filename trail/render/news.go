// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"podtrail.dev/podtrail/trail"
)

// News writes a trail line by line as it grows: each call writes what no call before it has written. The zero value
// is ready to use.
type News struct {
	told map[string]bool
}

// Write writes what is new in the trail.
func (n *News) Write(out io.Writer, t trail.Trail, options Options) error {
	if n.told == nil {
		n.told = map[string]bool{}
	}
	options.Width = max(options.Width, 80)
	w := &treeWriter{trail: t, options: options, paint: paint(options.Color), barWidth: 0}
	t.Walk(func(o *trail.Object) {
		for _, e := range slices.Concat(o.Created.Stages, o.Stages) {
			if e.Missing != nil {
				continue
			}
			for _, told := range w.told(e, o) {
				key := o.Subject.UID + o.Subject.Name + "|" + e.Stage.String() + "|" + told.text
				if n.told[key] {
					continue
				}
				n.told[key] = true
				stage := pad(fmt.Sprintf("%d %s", e.Stage, e.Stage), stageWidth)
				about := Reference(o.Subject) + ": "
				w.line(row{at: e.At, took: e.Took, text: stage + about + told.text, color: told.color}, stageWidth)
			}
		}
	})
	if _, err := io.WriteString(out, strings.TrimPrefix(w.out.String(), "\n")); err != nil {
		return fmt.Errorf("write news: %w", err)
	}
	return nil
}
