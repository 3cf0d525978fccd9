// SPDX-License-Identifier: Apache-2.0

package imagezone

import "fmt"

// byteUnits are the units of figures in reasons, each 1024 times the previous one.
var byteUnits = []string{"", "Ki", "Mi", "Gi", "Ti", "Pi"}

// roundedDown formats a number of bytes with two significant digits, such as 1.4Gi, rounded down. A negative number is
// 0.
//
// The scheduler writes each distinct reason into the Pod's status, so figures exact to the byte could add thousands of
// lines to it.
func roundedDown(bytes int64) string {
	return rounded(bytes, false)
}

// roundedUp is like roundedDown, but up.
func roundedUp(bytes int64) string {
	return rounded(bytes, true)
}

func rounded(bytes int64, up bool) string {
	if bytes <= 0 {
		return "0"
	}
	power, unit := 0, int64(1)
	for power < len(byteUnits)-1 && bytes/unit >= 1024 {
		power, unit = power+1, 1024*unit
	}
	rest := bytes % unit * 10
	tenths := bytes/unit*10 + rest/unit
	step := int64(1)
	for tenths >= 100*step {
		step *= 10
	}
	if up && (tenths%step > 0 || rest%unit > 0) {
		tenths += step
	}
	if tenths = tenths / step * step; tenths < 100 && unit > 1 {
		return fmt.Sprintf("%d.%d%s", tenths/10, tenths%10, byteUnits[power])
	}
	return fmt.Sprintf("%d%s", tenths/10, byteUnits[power])
}
