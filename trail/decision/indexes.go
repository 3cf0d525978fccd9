// SPDX-License-Identifier: Apache-2.0

package decision

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// maxIndex bounds an index that is read, so that a short text cannot claim all memory. Kubernetes supports 5,000 nodes.
const maxIndex = 1 << 20

// Indexes are positions in Matrix.Nodes. In JSON they are one string of numbers and ranges, such as "0-419,421": nodes
// with equal verdicts are usually next to each other. An array of numbers is read too: older recordings have it, such
// as those in docs/recordings.
type Indexes []int

// MarshalJSON writes the string.
func (x Indexes) MarshalJSON() ([]byte, error) {
	out := []byte{'"'}
	for i := 0; i < len(x); {
		last := i
		for last+1 < len(x) && x[last+1] == x[last]+1 {
			last++
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, int64(x[i]), 10)
		if last > i {
			out = strconv.AppendInt(append(out, '-'), int64(x[last]), 10)
		}
		i = last + 1
	}
	return append(out, '"'), nil
}

// UnmarshalJSON reads the string or an array. The error names the part that is neither a number nor a range.
func (x *Indexes) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]int)(x))
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf(`indexes are %s, want a string such as "0-2,5": %w`, data, err)
	}
	*x = nil
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		from, to, ok := parseRange(part)
		if !ok || len(*x) > maxIndex {
			return fmt.Errorf("indexes %q: %q is neither a number nor a range of numbers from 0 to %d", text, part, maxIndex)
		}
		for i := from; i <= to; i++ {
			*x = append(*x, i)
		}
	}
	return nil
}

// parseRange reads "5" or "0-419".
func parseRange(part string) (from, to int, ok bool) {
	first, last, isRange := strings.Cut(part, "-")
	if !isRange {
		last = first
	}
	from, fromErr := strconv.Atoi(first)
	to, toErr := strconv.Atoi(last)
	return from, to, fromErr == nil && toErr == nil && 0 <= from && from <= to && to <= maxIndex
}
