// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

const (
	// settle is for how long a controller is measured on after the status is right: late events and passes count too.
	settle = 2 * time.Second
	// startTimeout is how long a controller may take to serve its first object.
	startTimeout = 2 * time.Minute
)

// measurement is one action of one side in one round.
type measurement struct {
	side, title string
	action      action
	round, pods int
	at          time.Time
	// exist is when the Pods were there, or gone; in a wave, when the last one was made ready. reported is when all
	// statuses said so.
	exist, reported time.Duration
	requests        plane.Counters
	used            plane.Used
	overshoot       int
}

type bench struct {
	plane   *plane.Plane
	timeout time.Duration
	runs    int
	foreign bool
}

// all measures every cell: the sides take turns, and in each round another one begins.
func (b *bench) all(ctx context.Context, o options, sides []side) ([]measurement, error) {
	for _, s := range sides {
		fmt.Fprintf(os.Stderr, "Warming up: %s\n", s.name)
		if _, err := b.run(ctx, s, cell{objects: 1, replicas: 30, actions: []action{actionCreate}}, 0); err != nil {
			return nil, err
		}
	}
	var results []measurement
	for _, c := range o.cells {
		for round := range o.rounds {
			for turn := range sides {
				s := sides[(round+turn)%len(sides)]
				if s.name == stock && round >= o.stockRounds {
					continue
				}
				measured, err := b.run(ctx, s, c, round)
				results = append(results, measured...)
				if err != nil {
					return results, fmt.Errorf("%s, cell %s, round %d: %w", s.name, c.name, round+1, err)
				}
			}
		}
	}
	return results, nil
}

// run starts a controller, takes it through a cell, ends it and removes what it made.
func (b *bench) run(ctx context.Context, s side, c cell, round int) (results []measurement, err error) {
	if c.foreign && !b.foreign {
		if err := b.makeForeign(ctx); err != nil {
			return nil, err
		}
	}
	b.runs++
	namespace := fmt.Sprintf("bench-%d", b.runs)
	if err := b.plane.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return nil, fmt.Errorf("creating a namespace: %w", err)
	}
	process, err := b.plane.Run(ctx, s.path, s.args...)
	if err != nil {
		return nil, err
	}
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		return process.Stop()
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := b.firstObject(ctx, s, namespace, process); err != nil {
		return nil, err
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	o, err := observe(watching, b.plane, s.kind, namespace)
	if err != nil {
		return nil, err
	}
	for _, a := range c.actions {
		m, err := b.measure(ctx, s, c, a, namespace, o, process)
		if err != nil {
			return results, err
		}
		m.round = round
		fmt.Fprintf(os.Stderr, "%-24s round %d  %-20s Pods %6.2f s  status %6.2f s  processor %5.2f s  peak %4d MB\n",
			m.title, round+1, s.name, m.exist.Seconds(), m.reported.Seconds(), m.used.Controller.Seconds(), m.used.Peak>>20)
		results = append(results, m)
	}
	if err := stop(); err != nil {
		return results, err
	}
	return results, b.cleanUp(ctx, s, namespace, o)
}

// firstObject waits until the controller has served one object, so that its start is not measured with the cell.
func (b *bench) firstObject(ctx context.Context, s side, namespace string, process *plane.Process) error {
	before, err := b.plane.Counters(ctx)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	first := namespace + "-first"
	if err := b.plane.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: first}}); err != nil {
		return fmt.Errorf("creating a namespace: %w", err)
	}
	o, err := observe(watching, b.plane, s.kind, first)
	if err != nil {
		return err
	}
	if err := b.plane.Client.Create(ctx, s.kind.make(metav1.ObjectMeta{Namespace: first, Name: "first"}, 1)); err != nil {
		return fmt.Errorf("creating the first object: %w", err)
	}
	if _, err := o.until(ctx, "the first Pod of "+s.name, startTimeout, func(seen state) bool {
		return seen.pods == 1 && seen.reported == 1
	}, process.Problem); err != nil {
		return err
	}
	after, err := b.plane.Counters(ctx)
	if err != nil {
		return err
	}
	if after.Since(before).Sent == 0 {
		return errors.New("the API server does not give the controllers the priority that was made for them")
	}
	return b.cleanUp(ctx, s, first, o)
}

// measure does one action and waits until Pods and status show it.
func (b *bench) measure(ctx context.Context, s side, c cell, a action, namespace string, o *observer, process *plane.Process) (measurement, error) {
	m := measurement{side: s.name, title: c.title(a), action: a, pods: c.pods(), at: time.Now()}
	requests, err := b.plane.Counters(ctx)
	if err != nil {
		return m, err
	}
	used, err := process.Used()
	if err != nil {
		return m, err
	}
	begin := time.Now()
	exist, reported, err := b.act(ctx, s, c, a, namespace, o, process)
	if err != nil {
		return m, err
	}
	m.exist, m.reported = exist.Sub(begin), reported.Sub(begin)
	if err := plane.Pause(ctx, settle); err != nil {
		return m, err
	}
	end, err := process.Used()
	if err != nil {
		return m, err
	}
	m.used = end.Since(used)
	endRequests, err := b.plane.Counters(ctx)
	if err != nil {
		return m, err
	}
	m.requests = endRequests.Since(requests)
	seen, _ := o.look()
	m.overshoot = seen.overshoot
	return m, process.Problem()
}

func (b *bench) act(ctx context.Context, s side, c cell, a action, namespace string, o *observer, process *plane.Process) (exist, reported time.Time, err error) {
	wait := func(what string, reached func(state) bool) (time.Time, error) {
		return o.until(ctx, what, b.timeout, reached, process.Problem)
	}
	pods, ready := c.pods(), 0
	switch a {
	case actionCreate:
		o.want(c.replicas)
		err = plane.InParallel(ctx, c.objects, 0, func(i int) error {
			meta := metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("web-%03d", i)}
			return b.plane.Client.Create(ctx, s.kind.make(meta, int32(c.replicas)))
		})
	case actionEmpty:
		pods = 0
		o.want(c.replicas)
		err = plane.InParallel(ctx, c.objects, 0, func(i int) error {
			owner := s.kind.make(metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("web-%03d", i)}, 0)
			return b.plane.Client.Patch(ctx, owner, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`)))
		})
	case actionWave:
		ready = pods
		list := o.podList()
		err = plane.InParallel(ctx, len(list), wavePerSecond, func(i int) error {
			setReady(list[i])
			return b.plane.Client.Status().Update(ctx, list[i])
		})
	}
	if err != nil {
		return exist, reported, fmt.Errorf("%s: %w", a, err)
	}
	exist, err = wait(fmt.Sprintf("%d Pods", pods), func(seen state) bool { return seen.pods == pods })
	if err != nil {
		return exist, reported, err
	}
	reported, err = wait(fmt.Sprintf("a status of %d Pods, %d ready", pods, ready), func(seen state) bool {
		return seen.observed == c.objects && seen.reported == pods && seen.ready == ready
	})
	return exist, reported, err
}
