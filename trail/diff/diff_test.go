// SPDX-License-Identifier: Apache-2.0

package diff_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"podtrail.dev/podtrail/trail/diff"
)

func TestCompare(t *testing.T) {
	cases := map[string]struct {
		before, after string
		want          []diff.Change
	}{
		"equal objects differ in nothing": {before: `{"a":[1,{"b":2}]}`, after: `{"a":[1,{"b":2}]}`},
		"null, empty maps and empty lists count as absent": {
			before: `{"creationTimestamp":null,"resources":{},"args":[]}`, after: `{}`,
		},
		"a map that was absent is told field by field": {
			before: `{}`, after: `{"strategy":{"rollingUpdate":{"maxSurge":"25%"},"type":"RollingUpdate"}}`,
			want: []diff.Change{{Op: diff.Added, Path: "strategy.rollingUpdate.maxSurge"}, {Op: diff.Added, Path: "strategy.type"}},
		},
		"an element put in front is one addition, and moves no other": {
			before: `{"containers":[{"name":"app","image":"a"}]}`,
			after:  `{"containers":[{"name":"proxy","image":"p"},{"name":"app","image":"a","tty":true}]}`,
			want:   []diff.Change{{Op: diff.Added, Path: "containers[app].tty"}, {Op: diff.Added, Path: "containers[proxy]"}},
		},
		"elements without a common key are compared by index": {
			before: `{"args":["a","b"]}`, after: `{"args":["a","c","d"]}`,
			want: []diff.Change{{Op: diff.Changed, Path: "args[1]"}, {Op: diff.Added, Path: "args[2]"}},
		},
		"a key that is not unique does not name elements": {
			before: `{"mounts":[{"name":"v"},{"name":"v"}]}`, after: `{"mounts":[{"name":"v"},{"name":"v"},{"name":"v"}]}`,
			want: []diff.Change{{Op: diff.Added, Path: "mounts[2]"}},
		},
		"a removed field": {
			before: `{"a":1,"b":2}`, after: `{"b":2}`, want: []diff.Change{{Op: diff.Removed, Path: "a"}},
		},
		"a value of another shape is changed": {
			before: `{"port":80}`, after: `{"port":{"name":"http"}}`, want: []diff.Change{{Op: diff.Changed, Path: "port"}},
		},
		"keys with dots are quoted": {
			before: `{"labels":{}}`, after: `{"labels":{"app.kubernetes.io/name":"x"}}`,
			want: []diff.Change{{Op: diff.Added, Path: `labels."app.kubernetes.io/name"`}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ignoreValues := cmpopts.IgnoreFields(diff.Change{}, "Before", "After")
			if d := cmp.Diff(tc.want, diff.Compare(decode(t, tc.before), decode(t, tc.after)), ignoreValues); d != "" {
				t.Errorf("changes (-want +got):\n%s", d)
			}
		})
	}
}

func TestChangesHoldTheirValues(t *testing.T) {
	got := diff.Compare(decode(t, `{"a":1,"b":"x","d":[{"name":"n"}]}`), decode(t, `{"b":"y","c":{"e":true},"d":[{"name":"n"},{"name":"m"}]}`))
	want := []diff.Change{
		{Op: diff.Removed, Path: "a", Before: 1.0}, {Op: diff.Changed, Path: "b", Before: "x", After: "y"},
		{Op: diff.Added, Path: "c.e", After: true}, {Op: diff.Added, Path: "d[m]", After: map[string]any{"name": "m"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var out any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
