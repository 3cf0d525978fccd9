// SPDX-License-Identifier: Apache-2.0

package decision

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Answer is the answer of a filter plugin about a node.
type Answer uint8

// The answers. NotAsked means that there is none: the scheduler did not ask, and nothing was evaluated afterwards.
const (
	NotAsked Answer = iota
	Passes
	Refuses
)

// Verdict is the answer of one plugin about one node, and who got it. The zero value is that of a plugin that was not
// asked.
type Verdict struct {
	Answer Answer
	// Seen reports whether the scheduler itself got the answer. Otherwise it was evaluated afterwards.
	Seen bool
	// Reason is the index in Matrix.Reasons if Answer is Refuses, otherwise 0.
	Reason int
}

// Pass returns the verdict of a plugin that lets the node pass.
func Pass(seen bool) Verdict { return Verdict{Answer: Passes, Seen: seen} }

// Refuse returns the verdict of a plugin that refuses the node for Matrix.Reasons[reason].
func Refuse(reason int, seen bool) Verdict {
	return Verdict{Answer: Refuses, Seen: seen, Reason: reason}
}

// Asked reports whether there is an answer.
func (v Verdict) Asked() bool { return v.Answer != NotAsked }

// Refused reports whether the node is refused.
func (v Verdict) Refused() bool { return v.Answer == Refuses }

// Verdicts are the verdicts of all plugins about a node. In JSON each is a number, so that a record of many kinds of
// refusal stays small:
//
//	0     not asked, and not evaluated
//	1     passes, as seen
//	2     passes, as evaluated afterwards
//	3+2r  refused for Matrix.Reasons[r], as seen
//	4+2r  refused for Matrix.Reasons[r], as evaluated afterwards
type Verdicts []Verdict

// firstRefusal is the number of the first refusal.
const firstRefusal = 3

// Number returns the verdict as it is in JSON.
func (v Verdict) Number() int {
	number := 0
	switch v.Answer {
	case NotAsked:
		return 0
	case Passes:
		number = 1
	case Refuses:
		number = firstRefusal + 2*v.Reason
	}
	if !v.Seen {
		number++
	}
	return number
}

// verdictOf is the inverse of Number.
func verdictOf(number int) Verdict {
	switch seen := number%2 == 1; {
	case number == 0:
		return Verdict{}
	case number < firstRefusal:
		return Pass(seen)
	default:
		return Refuse((number-firstRefusal)/2, seen)
	}
}

// MarshalJSON writes the numbers.
func (v Verdicts) MarshalJSON() ([]byte, error) {
	out := append(make([]byte, 0, 2+2*len(v)), '[')
	for i := range v {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, int64(v[i].Number()), 10)
	}
	return append(out, ']'), nil
}

// UnmarshalJSON reads the numbers. The error names the first number that stands for no verdict.
func (v *Verdicts) UnmarshalJSON(data []byte) error {
	var numbers []int
	if err := json.Unmarshal(data, &numbers); err != nil {
		return fmt.Errorf("verdicts are %s, want an array of numbers: %w", data, err)
	}
	*v = make(Verdicts, len(numbers))
	for i, number := range numbers {
		if number < 0 {
			return fmt.Errorf("verdicts[%d] is %d, want 0 or more", i, number)
		}
		(*v)[i] = verdictOf(number)
	}
	return nil
}
