// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTruncate(t *testing.T) {
	tests := map[string]struct {
		text  string
		limit int
		want  string
	}{
		"short enough":                            {text: "quota", limit: 5, want: "quota"},
		"one byte too long":                       {text: "quotas", limit: 5, want: "qu…"},
		"the cut would go through a character":    {text: "aé" + strings.Repeat("x", 9), limit: 5, want: "a…"},
		"the cut is just behind a character":      {text: "aé" + strings.Repeat("x", 9), limit: 6, want: "aé…"},
		"four bytes for a character that is half": {text: "🚦" + strings.Repeat("x", 9), limit: 6, want: "…"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := Truncate(tc.text, tc.limit)
			if got != tc.want {
				t.Errorf("Truncate(%q, %d) is %q, want %q", tc.text, tc.limit, got, tc.want)
			}
			if len(got) > tc.limit || !utf8.ValidString(got) {
				t.Errorf("%q has %d bytes and is valid UTF-8: %v; want at most %d, and true", got, len(got), utf8.ValidString(got), tc.limit)
			}
		})
	}
}
