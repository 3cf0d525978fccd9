// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// patience is how long the command stays silent before it says what it is doing.
const patience = 2 * time.Second

// progress tells on stderr what is being read, once that takes longer than patience.
type progress struct {
	out   io.Writer
	start time.Time
	done  chan struct{}
	wait  sync.WaitGroup
	mu    sync.Mutex
	what  string
}

func startProgress(out io.Writer) *progress {
	p := &progress{out: out, start: time.Now(), done: make(chan struct{})}
	p.wait.Go(p.tell)
	return p
}

// doing sets what is being done now.
func (p *progress) doing(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = what
}

func (p *progress) tell() {
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-ticker.C:
			p.mu.Lock()
			what := p.what
			p.mu.Unlock()
			// Progress that can't be told is no reason to stop.
			_, _ = fmt.Fprintf(p.out, "still %s (%s)\n", what, time.Since(p.start).Round(time.Second))
		}
	}
}

// stop ends the telling.
func (p *progress) stop() {
	close(p.done)
	p.wait.Wait()
}

// saying tells what is waited for, when that has changed and from time to time.
type saying struct {
	out  io.Writer
	last []string
	at   time.Duration
}

// waiting tells it after so much time of waiting.
func (s *saying) waiting(after time.Duration, what []string) {
	if slices.Equal(s.last, what) && after-s.at < saidEvery {
		return
	}
	s.last, s.at = what, after
	for _, line := range what {
		// Progress that can't be told is no reason to stop.
		_, _ = fmt.Fprintf(s.out, "waiting (%s): %s\n", after.Round(time.Second), line)
	}
}
