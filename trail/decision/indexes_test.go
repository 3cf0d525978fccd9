// SPDX-License-Identifier: Apache-2.0

package decision_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail/decision"
)

func TestIndexesInJSON(t *testing.T) {
	tests := map[string]struct {
		indexes decision.Indexes
		want    string
	}{
		"none":                       {nil, `""`},
		"one":                        {decision.Indexes{7}, `"7"`},
		"a range":                    {decision.Indexes{0, 1, 2}, `"0-2"`},
		"two ranges and a number":    {decision.Indexes{0, 1, 5, 8, 9, 10}, `"0-1,5,8-10"`},
		"not in order, kept as is":   {decision.Indexes{3, 2, 3, 4}, `"3,2-4"`},
		"the window of a sampling":   {decision.Indexes{998, 999, 0, 1}, `"998-999,0-1"`},
		"the same twice, kept as is": {decision.Indexes{1, 1}, `"1,1"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(tc.indexes)
			if err != nil || string(got) != tc.want {
				t.Fatalf("Marshal gave %s, %v, want %s", got, err, tc.want)
			}
			var back decision.Indexes
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatalf("Unmarshal: %v", err)
			}
			if diff := cmp.Diff(tc.indexes, back); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIndexesOfOlderRecordings(t *testing.T) {
	var got decision.Indexes
	if err := json.Unmarshal([]byte("[2,0,1]"), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decision.Indexes{2, 0, 1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIndexesThatCannotBeRead(t *testing.T) {
	for _, given := range []string{`"x"`, `"1,"`, `"-1"`, `"2-1"`, `"1-"`, `"0-99999999999"`, `"0-1048576,0-1048576,0"`, `5`, `{}`} {
		var got decision.Indexes
		if err := json.Unmarshal([]byte(given), &got); err == nil || !strings.Contains(err.Error(), "indexes") {
			t.Errorf("%s: error %v, want one that says what indexes are", given, err)
		}
	}
}
