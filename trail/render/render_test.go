// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/internal/recorded"
	"podtrail.dev/podtrail/trail/render"
)

// go test ./trail/render -update writes the goldens anew from what is rendered now; read the diff before you commit.
var update = flag.Bool("update", false, "write the golden files anew")

var (
	deployment = trail.Subject{Kind: "Deployment", Namespace: "podtrail-demo", Name: "nginx-deployment"}
	teaching   = trail.Subject{Kind: "TeachingReplicaSet", Namespace: "podtrail-demo", Name: "web"}
	noLimit    = trail.Subject{Kind: "Pod", Namespace: "podtrail-demo", Name: "no-limit"}
	quota      = trail.Subject{Kind: "Deployment", Namespace: "default", Name: "trailtest-quota"}
	badImage   = trail.Subject{Kind: "Pod", Namespace: "default", Name: "trailtest-badimage"}
	nowhere    = trail.Subject{Kind: "Pod", Namespace: "default", Name: "trailtest-nowhere"}
	crash      = trail.Subject{Kind: "Pod", Namespace: "default", Name: "trailtest-crash"}
)

func load(t *testing.T, name string, subject trail.Subject, without ...string) trail.Trail {
	t.Helper()
	observations, err := recorded.Observe(filepath.Join("..", ".."), name)
	if err != nil {
		t.Fatal(err)
	}
	var kept []trail.Observation
	for _, o := range observations {
		if len(without) == 0 || o.Evidence.Source != without[0] {
			kept = append(kept, o)
		}
	}
	got, ok := trail.Build(kept).Focus(subject)
	if !ok {
		t.Fatalf("%s is not in recording %s", subject, name)
	}
	return got
}

func TestGoldens(t *testing.T) {
	tree := func(options render.Options) func(*bytes.Buffer, trail.Trail) error {
		return func(out *bytes.Buffer, got trail.Trail) error { return render.Tree(out, got, options) }
	}
	asJSON := func(out *bytes.Buffer, got trail.Trail) error { return render.JSON(out, got, nil) }
	asYAML := func(out *bytes.Buffer, got trail.Trail) error { return render.YAML(out, got, nil) }
	asTable := func(out *bytes.Buffer, got trail.Trail) error { return render.Table(out, got) }
	noRecorder := []render.Problem{{What: "There is no recorder in this cluster.", Next: "make deploy"}}
	cases := map[string]struct {
		recording string
		subject   trail.Subject
		without   []string
		write     func(*bytes.Buffer, trail.Trail) error
	}{
		"deployment":               {recording: "deployment", subject: deployment, write: tree(render.Options{Width: 100})},
		"deployment-80":            {recording: "deployment", subject: deployment, write: tree(render.Options{Width: 80})},
		"deployment-160":           {recording: "deployment", subject: deployment, write: tree(render.Options{Width: 160})},
		"deployment-colour":        {recording: "deployment", subject: deployment, write: tree(render.Options{Width: 100, Color: true})},
		"deployment-no-recorder":   {recording: "deployment", subject: deployment, without: []string{trail.SourceAudit}, write: tree(render.Options{Width: 100, Problems: noRecorder})},
		"teachingreplicaset":       {recording: "teachingreplicaset", subject: teaching, write: tree(render.Options{Width: 100})},
		"refused":                  {recording: "refused", subject: noLimit, write: tree(render.Options{Width: 100})},
		"refused-verbose":          {recording: "refused", subject: noLimit, write: tree(render.Options{Width: 100, Verbose: true})},
		"refused-table":            {recording: "refused", subject: noLimit, write: asTable},
		"refused-json":             {recording: "refused", subject: noLimit, write: asJSON},
		"refused-yaml":             {recording: "refused", subject: noLimit, write: asYAML},
		"quota":                    {recording: "quota", subject: quota, write: tree(render.Options{Width: 100})},
		"badimage":                 {recording: "badimage", subject: badImage, write: tree(render.Options{Width: 100})},
		"unschedulable":            {recording: "unschedulable", subject: nowhere, write: tree(render.Options{Width: 100})},
		"unschedulable-verbose":    {recording: "unschedulable", subject: nowhere, write: tree(render.Options{Width: 100, Verbose: true})},
		"crashloop":                {recording: "crashloop", subject: crash, write: tree(render.Options{Width: 100})},
		"teachingreplicaset-table": {recording: "teachingreplicaset", subject: teaching, write: asTable},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := tc.write(&out, load(t, tc.recording, tc.subject, tc.without...)); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), out.String()); d != "" {
				t.Errorf("output (-want +got):\n%s", d)
			}
		})
	}
}

func TestTreeFitsItsWidth(t *testing.T) {
	for _, width := range []int{80, 100, 120, 200} {
		for _, verbose := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d columns, verbose %v", width, verbose), func(t *testing.T) {
				for name, subject := range map[string]trail.Subject{"deployment": deployment, "quota": quota, "refused": noLimit} {
					var out bytes.Buffer
					if err := render.Tree(&out, load(t, name, subject), render.Options{Width: width, Verbose: verbose}); err != nil {
						t.Fatal(err)
					}
					for _, line := range strings.Split(out.String(), "\n") {
						if n := utf8.RuneCountInString(line); n > width {
							t.Errorf("%s: %d columns: %s", name, n, line)
						}
					}
				}
			})
		}
	}
}

func TestColourSaysNothingThatWordsDont(t *testing.T) {
	var plain, coloured bytes.Buffer
	got := load(t, "refused", noLimit)
	if err := render.Tree(&plain, got, render.Options{Width: 100}); err != nil {
		t.Fatal(err)
	}
	if err := render.Tree(&coloured, got, render.Options{Width: 100, Color: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(coloured.String(), "\x1b[") || strings.Contains(plain.String(), "\x1b") {
		t.Fatal("colour is on or off against the option")
	}
	stripped := coloured.String()
	for _, code := range []string{"0", "1", "2", "31", "32"} {
		stripped = strings.ReplaceAll(stripped, "\x1b["+code+"m", "")
	}
	trim := func(text string) string {
		lines := strings.Split(text, "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		return strings.Join(lines, "\n")
	}
	if d := cmp.Diff(trim(plain.String()), trim(stripped)); d != "" {
		t.Errorf("text (-plain +coloured):\n%s", d)
	}
}

func TestEvidenceCannotControlTheTerminal(t *testing.T) {
	hostile := trail.Build([]trail.Observation{{
		Subject: trail.Subject{Kind: "Pod", Name: "x", UID: "u"}, Stage: trail.Persist,
		Evidence: trail.Evidence{Source: trail.SourceObject, ID: "Pod/x@1"},
		Summary:  "title \x1b]0;owned\x07 and \u009b31m\ttab", Facts: []trail.Fact{{Key: "k", Value: "\x1b[2Jv"}},
	}})
	var out bytes.Buffer
	if err := render.Tree(&out, hostile, render.Options{Width: 100, Verbose: true}); err != nil {
		t.Fatal(err)
	}
	if err := render.Table(&out, hostile); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07\u009b") {
		t.Errorf("control characters reach the terminal: %q", out.String())
	}
}

func TestYAMLHoldsWhatJSONHolds(t *testing.T) {
	got := load(t, "badimage", badImage)
	problems := []render.Problem{{What: "w", Next: "n"}}
	var asJSON, asYAML bytes.Buffer
	if err := render.JSON(&asJSON, got, problems); err != nil {
		t.Fatal(err)
	}
	if err := render.YAML(&asYAML, got, problems); err != nil {
		t.Fatal(err)
	}
	var fromJSON, fromYAML map[string]any
	if err := json.Unmarshal(asJSON.Bytes(), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(asYAML.Bytes(), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fromJSON, fromYAML); d != "" {
		t.Errorf("documents (-json +yaml):\n%s", d)
	}
	if fromJSON["problems"] == nil {
		t.Error("the sources that could not be read are left out")
	}
}

func TestDuration(t *testing.T) {
	cases := map[time.Duration]string{
		0: "<1 ms", 999 * time.Microsecond: "<1 ms", time.Millisecond: "1 ms", 999 * time.Millisecond: "999 ms",
		1690 * time.Millisecond: "1.69 s", 5 * time.Minute: "5 min", 30 * time.Hour: "30 h", 300 * time.Hour: "12 d",
	}
	for d, want := range cases {
		if got := render.Duration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
