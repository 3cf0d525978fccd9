// SPDX-License-Identifier: Apache-2.0

package tables

import "testing"

func TestMedian(t *testing.T) {
	tests := map[string]struct {
		values []float64
		want   float64
	}{
		"none":               {nil, 0},
		"one":                {[]float64{4}, 4},
		"an odd number":      {[]float64{9, 1, 4}, 4},
		"the mean of middle": {[]float64{9, 1, 4, 6}, 5},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Median(tc.values); got != tc.want {
				t.Errorf("Got %v, want %v", got, tc.want)
			}
		})
	}
}
