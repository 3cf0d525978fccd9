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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

// measurement is one side in one round of a cell. All of it is from the first
// binding to the last, but the peak, and the histograms, which have every Pod.
type measurement struct {
	cell, side string
	round      int
	pods       int
	took       time.Duration
	used       plane.Used
	attempts   histogram
	algorithm  histogram
}

type bench struct {
	plane    *plane.Plane
	scratch  string
	programs map[string]string
	timeout  time.Duration
	nodes    int
}

// all measures every cell: the sides take turns, and in each round another one begins.
func (b *bench) all(ctx context.Context, o options) ([]measurement, error) {
	var results []measurement
	for _, c := range o.cells {
		if err := b.makeNodes(ctx, c.nodes); err != nil {
			return results, err
		}
		for round := range o.rounds {
			for turn := range o.sides {
				s := o.sides[(round+turn)%len(o.sides)]
				m, err := b.measure(ctx, c, s)
				if err != nil {
					return results, fmt.Errorf("%s, cell %s, round %d: %w", s.name, c.name, round+1, err)
				}
				m.round = round
				results = append(results, m)
				fmt.Fprintf(os.Stderr, "%-36s round %d  %-24s %6.1f Pods/s  algorithm %6.3f ms  processor %6.2f s  peak %4d MB\n",
					m.cell, round+1, m.side, perSecond(m), algorithmMean(m), m.used.Controller.Seconds(), m.used.Peak>>20)
			}
		}
	}
	return results, nil
}

// makeNodes adds or removes nodes until there are as many as wanted.
func (b *bench) makeNodes(ctx context.Context, wanted int) error {
	fmt.Fprintf(os.Stderr, "Making %d nodes\n", wanted)
	first, last := min(b.nodes, wanted), max(b.nodes, wanted)
	err := plane.InParallel(ctx, last-first, 0, func(i int) error {
		node := makeNode(first + i)
		if b.nodes > wanted {
			return b.plane.Client.Delete(ctx, node)
		}
		status := node.Status
		if err := b.plane.Client.Create(ctx, node); err != nil {
			return err
		}
		// The API server taints nodes that are not ready; no controller is there to take that away.
		node.Spec.Taints = nil
		if err := b.plane.Client.Update(ctx, node); err != nil {
			return err
		}
		node.Status = status
		return b.plane.Client.Status().Update(ctx, node)
	})
	if err != nil {
		return fmt.Errorf("making %d nodes: %w", wanted, err)
	}
	b.nodes = wanted
	return nil
}

// measure makes the Pods of a cell, starts a scheduler, waits until all are
// bound, ends it and removes the Pods.
func (b *bench) measure(ctx context.Context, c cell, s side) (m measurement, err error) {
	m = measurement{cell: c.title(), side: s.name, pods: c.pods}
	if err := plane.InParallel(ctx, c.pods, 0, func(i int) error { return b.plane.Client.Create(ctx, c.makePod(i)) }); err != nil {
		return m, fmt.Errorf("making the Pods: %w", err)
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	bindings, err := b.bindings(watching)
	if err != nil {
		return m, err
	}
	configuration, err := s.write(b.scratch, b.plane.Kubeconfig())
	if err != nil {
		return m, err
	}
	port, err := plane.FreePort(ctx)
	if err != nil {
		return m, err
	}
	flags := append([]string{"--config=" + configuration, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--authorization-always-allow-paths=/metrics"}, s.flags...)
	process, err := b.plane.Run(ctx, b.programs[s.program], flags...)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	if err := b.wait(ctx, &m, process, bindings); err != nil {
		return m, err
	}
	if m.attempts, m.algorithm, err = scrape(ctx, port); err != nil {
		return m, errors.Join(err, process.Problem())
	}
	if err := b.plane.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(metav1.NamespaceDefault), client.GracePeriodSeconds(0)); err != nil {
		return m, fmt.Errorf("deleting the Pods: %w", err)
	}
	return m, process.Problem()
}

// bindings tells each Pod that has got a node, until ctx ends.
func (b *bench) bindings(ctx context.Context) (<-chan string, error) {
	bound := make(chan string)
	seen := map[string]bool{}
	take := func(obj any, _ bool) {
		pod, ok := obj.(*corev1.Pod)
		if !ok || pod.Spec.NodeName == "" || seen[pod.Name] {
			return
		}
		seen[pod.Name] = true
		select {
		case bound <- pod.Name:
		case <-ctx.Done():
		}
	}
	err := b.plane.Watch(ctx, metav1.NamespaceDefault, map[client.Object]func(obj any, exists bool){&corev1.Pod{}: take})
	return bound, err
}

func (b *bench) wait(ctx context.Context, m *measurement, process *plane.Process, bindings <-chan string) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	var begin time.Time
	var used plane.Used
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for bound := 0; bound < m.pods; {
		select {
		case <-bindings:
			if bound++; bound > 1 {
				continue
			}
			var err error
			if used, err = process.Used(); err != nil {
				return err
			}
			begin = time.Now()
		case <-ticker.C:
			if err := process.Problem(); err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("%d of %d Pods had a node after %s: %w", bound, m.pods, b.timeout, ctx.Err())
		}
	}
	m.took = time.Since(begin)
	end, err := process.Used()
	m.used = end.Since(used)
	return err
}
