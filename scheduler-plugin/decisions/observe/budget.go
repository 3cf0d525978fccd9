// SPDX-License-Identifier: Apache-2.0

package observe

import "time"

const (
	// budgetShare is the part of one processor that evaluation gets in the long run.
	budgetShare = 50
	// budgetMost is what it can save up: enough for the attempts of a handful of Pods on thousands of nodes.
	budgetMost = 100 * time.Millisecond
)

// budget keeps evaluation from taking the scheduler's processors. It is used by the recorder's goroutine alone.
type budget struct {
	left    time.Duration
	updated time.Time
}

// allows says whether there is time left to spend.
func (b *budget) allows(now time.Time) bool {
	if b.updated.IsZero() {
		b.left = budgetMost
	} else {
		b.left = min(budgetMost, b.left+now.Sub(b.updated)/budgetShare)
	}
	b.updated = now
	return b.left > 0
}

func (b *budget) spend(took time.Duration) { b.left -= took }
