// SPDX-License-Identifier: Apache-2.0

package imagezone

// zoneParts grades zones by their siblings: wholePart for the fewest, 0 for the most, and evenly in between. It returns
// nil if all zones have the same count.
//
// The grade depends only on the difference, so one sibling too many weighs as much among a hundred as among three: the
// spread stays even as it grows.
func zoneParts(counts map[*zone]int64) map[*zone]int64 {
	first := true
	var fewest, most int64
	for _, count := range counts {
		if first {
			fewest, most, first = count, count, false
			continue
		}
		fewest, most = min(fewest, count), max(most, count)
	}
	if fewest == most {
		return nil
	}
	parts := make(map[*zone]int64, len(counts))
	for z, count := range counts {
		parts[z] = wholePart * (most - count) / (most - fewest)
	}
	return parts
}
