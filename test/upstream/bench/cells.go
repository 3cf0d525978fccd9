// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

// side is one of the controllers that are compared.
type side struct {
	name string
	kind kind
	path string
	args []string
}

const (
	ours      = "podtrail"
	stock     = "upstream, stock"
	unlimited = "upstream, no limit"
)

// sides are the controllers.
func sides(manager, upstream string, webhookPort int) []side {
	return []side{
		{name: ours, kind: teachingReplicaSets, path: manager, args: []string{
			"--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=0",
			fmt.Sprintf("--webhook-port=%d", webhookPort), "--sidecar-image=registry.example/proxy:1",
		}},
		{name: unlimited, kind: replicaSets, path: upstream, args: []string{"-kube-api-qps=-1"}},
		{name: stock, kind: replicaSets, path: upstream},
	}
}

// action is what is measured.
type action string

const (
	// actionCreate makes the objects.
	actionCreate action = "create"
	// actionWave makes all Pods ready, at wavePerSecond.
	actionWave action = "wave"
	// actionEmpty scales the objects to 0.
	actionEmpty action = "to 0"
)

const (
	wavePerSecond = 500
	foreignPods   = 10_000
)

// cell is what one process of a controller goes through.
type cell struct {
	name              string
	objects, replicas int
	foreign           bool
	actions           []action
}

// cells are in the order in which they run: the foreign Pods stay once they are there.
var cells = []cell{
	{name: "100", objects: 1, replicas: 100, actions: []action{actionCreate}},
	{name: "500", objects: 1, replicas: 500, actions: []action{actionCreate}},
	{name: "2000", objects: 1, replicas: 2000, actions: []action{actionCreate, actionWave}},
	{name: "5000", objects: 1, replicas: 5000, actions: []action{actionCreate, actionEmpty}},
	{name: "objects", objects: 500, replicas: 5, actions: []action{actionCreate}},
	{name: "foreign", objects: 1, replicas: 5000, foreign: true, actions: []action{actionCreate}},
}

func (c cell) pods() int { return c.objects * c.replicas }

// title names one action of the cell in the tables.
func (c cell) title(a action) string {
	switch {
	case a == actionWave:
		return fmt.Sprintf("%d become ready, %d/s", c.pods(), wavePerSecond)
	case a == actionEmpty:
		return fmt.Sprintf("%d to 0", c.pods())
	case c.foreign:
		return fmt.Sprintf("%d beside %d foreign", c.pods(), foreignPods)
	case c.objects > 1:
		return fmt.Sprintf("%d objects x %d", c.objects, c.replicas)
	default:
		return fmt.Sprintf("%d in one object", c.pods())
	}
}

// chooseCells returns the cells of a comma-separated list of names, in the order in which they run.
func chooseCells(names string) ([]cell, error) {
	var known []string
	for _, c := range cells {
		known = append(known, c.name)
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-cells names %q; the cells are %s", name, strings.Join(known, ","))
		}
	}
	return slices.DeleteFunc(slices.Clone(cells), func(c cell) bool { return !slices.Contains(wanted, c.name) }), nil
}

// makeForeign makes Pods that no measured controller controls. They stay.
func (b *bench) makeForeign(ctx context.Context) error {
	const namespace = "foreign"
	fmt.Fprintf(os.Stderr, "Making %d foreign Pods\n", foreignPods)
	if err := b.plane.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return fmt.Errorf("creating a namespace: %w", err)
	}
	err := plane.InParallel(ctx, foreignPods, 0, func(i int) error {
		pod := foreignPod(namespace, i)
		if err := b.plane.Client.Create(ctx, pod); err != nil {
			return err
		}
		setReady(pod)
		return b.plane.Client.Status().Update(ctx, pod)
	})
	if err != nil {
		return fmt.Errorf("making the foreign Pods: %w", err)
	}
	b.foreign = true
	return nil
}

// cleanUp removes the objects and then their Pods.
func (b *bench) cleanUp(ctx context.Context, s side, namespace string, o *observer) error {
	if err := b.plane.Client.DeleteAllOf(ctx, s.kind.empty, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("deleting the objects: %w", err)
	}
	nobody := func() error { return nil }
	if _, err := o.until(ctx, "the objects to go", b.timeout, func(seen state) bool { return seen.owners == 0 }, nobody); err != nil {
		return err
	}
	pods := o.podList()
	err := plane.InParallel(ctx, len(pods), 0, func(i int) error {
		return client.IgnoreNotFound(b.plane.Client.Delete(ctx, pods[i], client.GracePeriodSeconds(0)))
	})
	if err != nil {
		return fmt.Errorf("deleting the Pods: %w", err)
	}
	_, err = o.until(ctx, "the Pods to go", b.timeout, func(seen state) bool { return seen.pods == 0 }, nobody)
	return err
}
