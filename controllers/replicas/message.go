// SPDX-License-Identifier: Apache-2.0

package replicas

import "unicode/utf8"

// maxConditionMessage bounds the message of a condition, in bytes. The longest refusals, Pod Security's of a Pod with
// many containers, are shorter; the schema allows 32,768 characters, which each later write of the status would carry.
const maxConditionMessage = 4096

const ellipsis = "…"

// Truncate returns text if it has at most limit bytes. Otherwise it returns the beginning of it, cut between two
// characters, with an ellipsis, together at most limit bytes; limit must leave room for the ellipsis.
func Truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
