// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"sync"
	"time"
)

const (
	// budgetShare is the part of one processor that evaluation gets in the long run: a fiftieth.
	budgetShare = 50
	// maxBudget is what it can save up: enough for the attempts of a few Pods on thousands of nodes.
	maxBudget = 100 * time.Millisecond
)

// budget bounds the processor time of evaluation. It is safe for concurrent use: the scheduler asks before it copies
// the nodes, and the recorder's goroutine before it evaluates.
type budget struct {
	mu      sync.Mutex
	left    time.Duration
	updated time.Time
}

// allows reports whether there is time left to spend.
func (b *budget) allows(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.updated.IsZero() {
		b.left = maxBudget
	} else {
		b.left = min(maxBudget, b.left+now.Sub(b.updated)/budgetShare)
	}
	b.updated = now
	return b.left > 0
}

func (b *budget) spend(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left -= took
}
