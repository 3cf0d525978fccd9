// SPDX-License-Identifier: Apache-2.0

package plane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// parallel bounds the requests that the one who measures has under way.
const parallel = 32

// InParallel calls fn with 0 to count-1, at most perSecond of them each second if that is not 0, and returns one of
// the errors.
func InParallel(ctx context.Context, count, perSecond int, fn func(i int) error) error {
	var (
		wait  sync.WaitGroup
		first sync.Once
		err   error
		slots = make(chan struct{}, parallel)
		begin = time.Now()
	)
	for i := range count {
		if perSecond > 0 {
			if err := Pause(ctx, time.Until(begin.Add(time.Duration(i)*time.Second/time.Duration(perSecond)))); err != nil {
				break
			}
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if failed := fn(i); failed != nil {
				first.Do(func() { err = failed })
			}
		})
	}
	wait.Wait()
	return errors.Join(err, ctx.Err())
}

// Pause waits that long, or until the context ends, whose error it then returns.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", ctx.Err())
	}
}
