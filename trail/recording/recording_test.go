// SPDX-License-Identifier: Apache-2.0

package recording_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/internal/recorded"
	"podtrail.dev/podtrail/trail/recording"
	"podtrail.dev/podtrail/trail/source"
)

var root = filepath.Join("..", "..")

func TestWhatIsWrittenIsRead(t *testing.T) {
	header := recording.Header{
		Subject: trail.Subject{Kind: "Pod", Namespace: "n", Name: "x", UID: "u"}, Taken: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		Kubernetes: "v1.36.3", Problems: []recording.Problem{{What: "w", Next: "n"}},
	}
	records := []source.Record{{Source: "audit", Node: "cp", Data: json.RawMessage(`{"a":"<&>"}`)}, {Source: "event", Data: json.RawMessage(`{}`)}}
	for _, zipped := range []bool{false, true} {
		var file bytes.Buffer
		if err := recording.Write(&file, header, records, zipped); err != nil {
			t.Fatal(err)
		}
		gotHeader, got, err := recording.Read(&file)
		if err != nil {
			t.Fatal(err)
		}
		want := header
		want.APIVersion, want.Kind = recording.APIVersion, recording.Kind
		if diff := cmp.Diff(want, gotHeader); diff != "" {
			t.Errorf("zipped %v, header (-want +got):\n%s", zipped, diff)
		}
		if diff := cmp.Diff(records, got); diff != "" {
			t.Errorf("zipped %v, records (-want +got):\n%s", zipped, diff)
		}
	}
}

func TestWhatIsNoRecordingIsRefused(t *testing.T) {
	const head = `{"apiVersion":"podtrail.dev/v1alpha1","kind":"Recording"}` + "\n"
	cases := map[string]struct{ file, want string }{
		"nothing":                 {"", "empty"},
		"text":                    {"hello\n", "line 1"},
		"another kind":            {`{"apiVersion":"v1","kind":"Pod"}` + "\n", `kind "Pod": want`},
		"a cut-off record":        {head + `{"source":"audit","da`, "line 2"},
		"what claims to be a zip": {"\x1f\x8bgarbage", "unzip"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, _, err := recording.Read(strings.NewReader(tc.file))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestOnlyKeepsWhatTheTrailIsMadeOf(t *testing.T) {
	header, records, err := recorded.Load(root, "deployment")
	if err != nil {
		t.Fatal(err)
	}
	observations, _ := recording.Observe(records)
	var pod trail.Subject
	whole := trail.Build(observations)
	whole.Walk(func(o *trail.Object) {
		if o.Subject.Kind == "Pod" {
			pod = o.Subject
		}
	})
	for _, subject := range []trail.Subject{header.Subject, pod} {
		kept, ok := recording.Only(records, subject)
		if !ok {
			t.Fatalf("%s is not in its recording", subject)
		}
		want, _ := trail.Build(observations).Focus(subject)
		again, _ := recording.Observe(kept)
		got, _ := trail.Build(again).Focus(subject)
		if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
			t.Errorf("%s: trail of what was kept (-all +kept):\n%s", subject, diff)
		}
		if subject == pod && len(kept) >= len(records) {
			t.Errorf("of one Pod %d of %d records are kept, want fewer", len(kept), len(records))
		}
	}
	if _, ok := recording.Only(records, trail.Subject{Kind: "Pod", Name: "nobody"}); ok {
		t.Error("a Pod that is not there was found")
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
