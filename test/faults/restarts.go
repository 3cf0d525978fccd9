// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// EndTimeout bounds how long a controller may take to end. A pass that is under way ends with its context, within
	// milliseconds.
	EndTimeout = 10 * time.Second
	// startTimeout bounds how long it takes from the start of a controller to its first write.
	startTimeout = time.Minute

	// The load under which controllers are ended: some workers are idle and others are not, and objects keep coming.
	changingOwners = 24
	changers       = 4
)

// Restarts is what came of ending a controller many times.
type Restarts struct {
	// Ends holds how long each end took, in their order; EndTimeout for those that took longer.
	Ends []time.Duration
	// Hung counts the ends that took longer than EndTimeout.
	Hung int
	// Violations describes what must not have happened.
	Violations []string
}

// String is one line for people.
func (r Restarts) String() string {
	return fmt.Sprintf("%d restarts: %d hung for more than %s; an end took %s", len(r.Ends), r.Hung, EndTimeout, spread(r.Ends))
}

// spread describes durations by their median and their maximum.
func spread(durations []time.Duration) string {
	if len(durations) == 0 {
		return "no time"
	}
	sorted := slices.Sorted(slices.Values(durations))
	return fmt.Sprintf("%s (median), %s (maximum)", sorted[len(sorted)/2].Round(time.Millisecond),
		sorted[len(sorted)-1].Round(time.Millisecond))
}

// Restart starts a controller and ends it after its first write, as many times as asked, while all of its objects
// change. Each must end within EndTimeout and leave no goroutine behind. An error means that the scenario could not be
// carried out.
func Restart(ctx context.Context, subject Subject, cfg *rest.Config, c client.WithWatch, namespace string, times int) (Restarts, error) {
	r := &run{subject: subject, cfg: cfg, client: c, namespace: namespace}
	stop, err := r.changeOwners(ctx)
	if err != nil {
		return Restarts{}, err
	}
	var result Restarts
	for range times {
		controller := r.start(ctx, subject)
		err := controller.awaitWrite(ctx)
		took, ended := controller.end()
		if err != nil {
			stop()
			return result, err
		}
		result.Ends = append(result.Ends, took)
		if !ended {
			result.Hung++
		}
	}
	stop()
	if result.Hung > 0 {
		r.violate("%d of %d times the controller had not ended %s after it was asked to", result.Hung, times, EndTimeout)
	}
	r.checkGoroutines(ctx)
	result.Violations = r.result.Violations
	return result, nil
}

// changeOwners makes objects that ask for no Pods and changes their specification all the time, until the returned
// function is called. Each change makes a pass and a write of the status.
func (r *run) changeOwners(ctx context.Context) (stop func(), err error) {
	owners := make([]client.Object, changingOwners)
	for i := range owners {
		owners[i] = r.subject.MakeOwner(r.namespace, 0, "")
		owners[i].SetName(fmt.Sprintf("web-%d", i))
		if err := r.client.Create(ctx, owners[i]); err != nil {
			return nil, fmt.Errorf("making owner %d: %w", i, err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var changing sync.WaitGroup
	for first := range changers {
		changing.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				for i := first; i < len(owners); i += changers {
					patch := fmt.Appendf(nil, `{"spec":{"minReadySeconds":%d}}`, n)
					err := r.client.Patch(ctx, owners[i], client.RawPatch("application/merge-patch+json", patch))
					if err != nil && ctx.Err() == nil {
						r.violate("changing %s: %v", owners[i].GetName(), err)
						return
					}
				}
			}
		})
	}
	return func() {
		cancel()
		changing.Wait()
	}, nil
}

// running is a controller that has been started.
type running struct {
	cancel context.CancelFunc
	done   chan error
	writes *firstWrites
	// ended is when it was asked to end.
	ended time.Time
}

// start runs a controller until it is ended.
func (r *run) start(ctx context.Context, subject Subject) *running {
	ctx, cancel := context.WithCancel(ctx)
	controller := &running{cancel: cancel, done: make(chan error, 1), writes: newFirstWrites()}
	cfg := rest.CopyConfig(r.cfg)
	cfg.Wrap(controller.writes.watch)
	go r.labelled(ctx, func(ctx context.Context) {
		controller.done <- subject.Run(ctx, cfg, r.namespace, func(func() int) {})
	})
	return controller
}

// awaitWrite waits until the controller has written a status.
func (c *running) awaitWrite(ctx context.Context) error {
	select {
	case <-c.writes.status.happened:
		return nil
	case err := <-c.done:
		return fmt.Errorf("the controller ended before it had written a status: %w", err)
	case <-time.After(startTimeout):
		return fmt.Errorf("the controller has written no status %s after its start", startTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end ends the controller and returns how long it took; it waits no longer than EndTimeout.
func (c *running) end() (took time.Duration, ended bool) {
	c.ended = time.Now()
	c.cancel()
	select {
	case <-c.done:
		return time.Since(c.ended), true
	case <-time.After(EndTimeout):
		return EndTimeout, false
	}
}
