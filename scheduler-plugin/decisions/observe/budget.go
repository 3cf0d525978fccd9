// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"sync"
	"time"
)

const (
	// budgetShare is the part of one processor that evaluation gets in the long run.
	budgetShare = 50
	// budgetMost is what it can save up: enough for the attempts of a handful of Pods on thousands of nodes.
	budgetMost = 100 * time.Millisecond
)

// budget keeps evaluation from taking the scheduler's processors. It is safe for concurrent use: the scheduler asks
// whether it is worth while to copy the nodes, the recorder's goroutine before it evaluates.
type budget struct {
	mu      sync.Mutex
	left    time.Duration
	updated time.Time
}

// allows says whether there is time left to spend.
func (b *budget) allows(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.updated.IsZero() {
		b.left = budgetMost
	} else {
		b.left = min(budgetMost, b.left+now.Sub(b.updated)/budgetShare)
	}
	b.updated = now
	return b.left > 0
}

func (b *budget) spend(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left -= took
}
