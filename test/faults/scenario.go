// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/test/wrappers"
)

const (
	// orphanLabel marks the Pods that the scenario makes for adoption.
	orphanLabel = "faults/orphan"
	// finalizer keeps a deleted owner, so that it can be seen to adopt nothing.
	finalizer = "faults/keep"

	stepTimeout     = 40 * time.Second
	convergeTimeout = 10 * time.Second
	settleFor       = time.Second
	quietFor        = 5 * time.Second
	quietTimeout    = 20 * time.Second
	leakTimeout     = 10 * time.Second
	poll            = 50 * time.Millisecond
)

// Result is what came of a cell.
type Result struct {
	Totals
	// Converged is how long it took after the last fault until Pods and status were what the owner asks for.
	Converged time.Duration
	// Injected and Writes count the faults, and the writes that were sent.
	Injected, Writes int
	// Violations describes what must not have happened.
	Violations []string
}

// run is one scenario under way.
type run struct {
	subject   Subject
	cell      Cell
	cfg       *rest.Config
	client    client.WithWatch
	namespace string

	owner   client.Object
	history *History
	kept    []*corev1.Pod
	result  Result

	// mu guards proxies, memories and the violations of result.
	mu      sync.Mutex
	proxies []*Proxy
	// memories return, for each running controller, of how many objects it remembers something.
	memories []func() int
}

func (r *run) violate(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Violations = append(r.result.Violations, fmt.Sprintf(format, args...))
}

// Run makes Pods come and go under a cell's faults and checks what the controller did. An error means that the
// scenario could not be carried out; what the controller did wrong is in the result.
func Run(ctx context.Context, subject Subject, cell Cell, cfg *rest.Config, c client.WithWatch, namespace string) (Result, error) {
	r := &run{subject: subject, cell: cell, cfg: cfg, client: c, namespace: namespace}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	history, err := NewHistory(ctx, c, namespace)
	if err != nil {
		return Result{}, err
	}
	r.history = history
	if err := r.prepare(ctx); err != nil {
		return Result{}, err
	}
	stop, err := r.startControllers(ctx)
	if err != nil {
		return Result{}, err
	}
	err = r.play(ctx)
	stop()
	if err != nil {
		return Result{}, err
	}
	r.checkGoroutines(ctx)
	r.checkForeignPods(ctx)
	if r.result.Totals, err = r.history.Stop(r.owner.GetUID()); err != nil {
		return Result{}, err
	}
	if r.result.Overshoot > 0 {
		r.violate("there were up to %d active Pods too many", r.result.Overshoot)
	}
	return r.result, nil
}

// prepare creates the Pods that must not be touched, and two that may be adopted.
func (r *run) prepare(ctx context.Context) error {
	foreign := wrappers.MakePod(r.namespace, "foreign").Label("app", "web").
		ControlledBy("apps/v1", "StatefulSet", "other", "5c1f0f9e-3b1a-4a0e-9a57-0d5d6a3e2b11").Obj()
	stranger := wrappers.MakePod(r.namespace, "stranger").Label("app", "other").Obj()
	r.kept = []*corev1.Pod{foreign, stranger}
	pods := []client.Object{foreign, stranger}
	for i := range 2 {
		pods = append(pods, wrappers.MakePod(r.namespace, fmt.Sprintf("orphan-%d", i)).
			Label("app", "web").Label(orphanLabel, "yes").Obj())
	}
	for _, pod := range pods {
		if err := r.client.Create(ctx, pod); err != nil {
			return fmt.Errorf("making Pod %s: %w", pod.GetName(), err)
		}
	}
	return nil
}

// play is the scenario: create, scale up, heal, release, scale down, then no more faults, then delete.
func (r *run) play(ctx context.Context) error {
	r.owner = r.subject.MakeOwner(r.namespace, 5, r.cell.Node)
	r.owner.SetFinalizers([]string{finalizer})
	if err := r.client.Create(ctx, r.owner); err != nil {
		return fmt.Errorf("making the owner: %w", err)
	}
	r.history.Wanted(r.owner, 5)
	steps := []func(context.Context) error{
		func(ctx context.Context) error { return r.await(ctx, "5 Pods", 5) },
		func(ctx context.Context) error { return r.scale(ctx, 8) },
		func(ctx context.Context) error { return r.await(ctx, "8 Pods", 8) },
		func(ctx context.Context) error { return r.deleteSome(ctx, 2) },
		func(ctx context.Context) error { return r.await(ctx, "8 Pods after 2 were deleted", 8) },
		r.relabelOne,
		func(ctx context.Context) error { return r.await(ctx, "8 Pods after 1 was released", 8) },
		r.settle,
		func(ctx context.Context) error { return r.scale(ctx, 3) },
		func(ctx context.Context) error { return r.await(ctx, "3 Pods", 3) },
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.endFaults()
	r.checkConvergence(ctx, 3)
	r.checkQuiet(ctx)
	if err := r.checkDeletingOwner(ctx); err != nil {
		return err
	}
	r.checkForgotten(ctx)
	return nil
}

// settle waits until no write is on its way. A creation that was decided on while more Pods were wanted, and arrives
// when fewer are, is not held against a controller.
func (r *run) settle(ctx context.Context) error {
	err := until(ctx, stepTimeout, func() (bool, error) { return r.quiet(settleFor), nil })
	if errors.Is(err, errTimeout) {
		r.violate("it went on writing for %s with 8 Pods", stepTimeout)
		return nil
	}
	return err
}

// quiet reports whether no controller has sent a write for a while.
func (r *run) quiet(duration time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, proxy := range r.proxies {
		if proxy.Quiet() < duration {
			return false
		}
	}
	return true
}

func (r *run) endFaults() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, proxy := range r.proxies {
		proxy.Clear()
	}
}

func (r *run) scale(ctx context.Context, to int32) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, to)
	if err := r.client.Patch(ctx, r.owner, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		return fmt.Errorf("scaling to %d: %w", to, err)
	}
	r.history.Wanted(r.owner, int(to))
	return nil
}

func (r *run) deleteSome(ctx context.Context, count int) error {
	pods, err := r.active(ctx)
	if err != nil {
		return err
	}
	for i := range count {
		if err := r.client.Delete(ctx, &pods[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting Pod %s: %w", pods[i].Name, err)
		}
	}
	return nil
}

func (r *run) relabelOne(ctx context.Context) error {
	pods, err := r.active(ctx)
	if err != nil {
		return err
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"app":"gone"}}}`))
	if err := r.client.Patch(ctx, &pods[0], patch); err != nil {
		return fmt.Errorf("changing the labels of Pod %s: %w", pods[0].Name, err)
	}
	return nil
}

// active returns the active Pods that the owner controls and selects.
func (r *run) active(ctx context.Context) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := r.client.List(ctx, &list, client.InNamespace(r.namespace), client.MatchingLabels{"app": "web"}); err != nil {
		return nil, fmt.Errorf("listing the Pods: %w", err)
	}
	var active []corev1.Pod
	for i := range list.Items {
		if pod := &list.Items[i]; metav1.IsControlledBy(pod, r.owner) && replicas.IsActive(pod) {
			active = append(active, *pod)
		}
	}
	return active, nil
}

// await waits for a number of active Pods; not getting there under the faults is a violation, not an error, because
// each fault happens a bounded number of times.
func (r *run) await(ctx context.Context, what string, want int) error {
	last := 0
	err := until(ctx, stepTimeout, func() (bool, error) {
		pods, err := r.active(ctx)
		last = len(pods)
		return last == want, err
	})
	if errors.Is(err, errTimeout) {
		r.violate("%s: still %d after %s", what, last, stepTimeout)
		return nil
	}
	return err
}
