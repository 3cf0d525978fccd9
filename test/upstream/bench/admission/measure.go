// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

// measurement is one side at one concurrency in one round.
type measurement struct {
	side       string
	concurrent int
	round      int
	latencies  []time.Duration // of the requests that succeeded, sorted
	errors     int
	elapsed    time.Duration
	used       plane.Used
}

// percentile is the latency that this share of the requests did not exceed; 0 without requests.
func (m measurement) percentile(share float64) time.Duration {
	if len(m.latencies) == 0 {
		return 0
	}
	return m.latencies[max(0, int(share*float64(len(m.latencies))+0.5)-1)]
}

func (m measurement) perSecond() float64 { return float64(len(m.latencies)) / m.elapsed.Seconds() }

// perRequest is processor time for each request, in milliseconds.
func (m measurement) perRequest(used time.Duration) float64 {
	return used.Seconds() * 1000 / float64(max(1, len(m.latencies)+m.errors))
}

// bench measures in turn, so that what else the machine does hits all sides alike.
type bench struct {
	board   *switchboard
	manager *plane.Process
	options options
}

func (b *bench) all(ctx context.Context) ([]measurement, error) {
	var results []measurement
	for round := range b.options.rounds {
		for _, concurrent := range b.options.concurrent {
			for _, side := range sides {
				m, err := b.one(ctx, side, concurrent)
				if err != nil {
					return results, err
				}
				m.round = round
				results = append(results, m)
				fmt.Fprintf(os.Stderr, "Round %d of %d, %d at once, %s: p50 %s, p99 %s, %d errors\n",
					round+1, b.options.rounds, concurrent, side, m.percentile(.5), m.percentile(.99), m.errors)
			}
		}
	}
	return results, nil
}

func (b *bench) one(ctx context.Context, side string, concurrent int) (measurement, error) {
	if err := b.board.turnTo(ctx, side); err != nil {
		return measurement{}, errors.Join(err, b.manager.Problem())
	}
	// The first requests open connections and compile expressions.
	if warm := b.send(ctx, concurrent, b.options.duration/8); warm.errors > 0 {
		return measurement{}, fmt.Errorf("%s, warming up: %d requests failed", side, warm.errors)
	}
	before, err := b.manager.Used()
	if err != nil {
		return measurement{}, err
	}
	m := b.send(ctx, concurrent, b.options.duration)
	after, err := b.manager.Used()
	if err != nil {
		return measurement{}, err
	}
	m.side, m.concurrent, m.used = side, concurrent, after.Since(before)
	return m, ctx.Err()
}

// send creates Pods by dry run, so many at once, for that long.
func (b *bench) send(ctx context.Context, concurrent int, duration time.Duration) measurement {
	var (
		m       measurement
		mutex   sync.Mutex
		senders sync.WaitGroup
	)
	begin := time.Now()
	for range concurrent {
		senders.Go(func() {
			var latencies []time.Duration
			failed := 0
			for time.Since(begin) < duration && ctx.Err() == nil {
				pod, at := b.board.pod(), time.Now()
				if err := b.board.client.Create(ctx, pod, client.DryRunAll); err != nil {
					failed++
					continue
				}
				latencies = append(latencies, time.Since(at))
				select {
				case <-ctx.Done():
				case <-time.After(b.options.pause):
				}
			}
			mutex.Lock()
			defer mutex.Unlock()
			m.latencies, m.errors = append(m.latencies, latencies...), m.errors+failed
		})
	}
	senders.Wait()
	m.elapsed = time.Since(begin)
	slices.Sort(m.latencies)
	return m
}
