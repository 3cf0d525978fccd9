// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/wrappers"
)

var errTimeout = errors.New("it took too long")

// until polls check until it is true.
func until(ctx context.Context, timeout time.Duration, check func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		ok, err := check()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return errTimeout
		case <-time.After(poll):
			if err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// checkConvergence waits, after the last fault, until Pods and status are what the owner asks for.
func (r *run) checkConvergence(ctx context.Context, want int) {
	began := time.Now()
	seen := ""
	err := until(ctx, convergeTimeout, func() (bool, error) {
		pods, err := r.active(ctx)
		if err != nil {
			return false, err
		}
		if err := r.client.Get(ctx, client.ObjectKeyFromObject(r.owner), r.owner); err != nil {
			return false, err
		}
		status := r.subject.Status(r.owner)
		seen = fmt.Sprintf("%d Pods, generation %d, status %+v", len(pods), r.owner.GetGeneration(), status)
		return len(pods) == want && int(status.Replicas) == want && status.ObservedGeneration == r.owner.GetGeneration(), nil
	})
	r.result.Converged = time.Since(began)
	if err != nil {
		r.violate("%s after the last fault it had not converged to %d: %s (%v)", convergeTimeout, want, seen, err)
	}
}

// checkQuiet waits until the controllers have written nothing for quietFor.
func (r *run) checkQuiet(ctx context.Context) {
	err := until(ctx, quietTimeout, func() (bool, error) { return r.quiet(quietFor), nil })
	if err != nil {
		r.violate("it went on writing for %s after it had converged", quietTimeout)
	}
}

// checkDeletingOwner deletes the owner, which its finalizer keeps, and offers it an orphan.
func (r *run) checkDeletingOwner(ctx context.Context) error {
	if err := r.client.Delete(ctx, r.owner, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		return fmt.Errorf("deleting the owner: %w", err)
	}
	late := wrappers.MakePod(r.namespace, "late").Label("app", "web").Label(orphanLabel, "yes").Obj()
	if err := r.client.Create(ctx, late); err != nil {
		return fmt.Errorf("making an orphan for the deleted owner: %w", err)
	}
	// It has a second to do what it must not do.
	pause(ctx, time.Second)
	if err := r.client.Get(ctx, client.ObjectKeyFromObject(late), late); err != nil {
		return fmt.Errorf("reading the orphan: %w", err)
	}
	if len(late.OwnerReferences) > 0 {
		r.violate("an owner that is being deleted adopted a Pod")
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	if err := r.client.Patch(ctx, r.owner, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("letting the owner go: %w", err)
	}
	return nil
}

// checkForeignPods compares the Pods that are not the owner's with what they were.
func (r *run) checkForeignPods(ctx context.Context) {
	for _, was := range r.kept {
		now := was.DeepCopy()
		if err := r.client.Get(ctx, client.ObjectKeyFromObject(was), now); err != nil {
			r.violate("Pod %s, which is not the owner's: %v", was.Name, err)
			continue
		}
		if now.ResourceVersion != was.ResourceVersion {
			r.violate("Pod %s, which is not the owner's, was written to", was.Name)
		}
	}
}

// startControllers runs the cell's controllers and returns a function that ends them all.
func (r *run) startControllers(ctx context.Context) (stop func(), err error) {
	var wait sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	stop = func() {
		cancel()
		wait.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, proxy := range r.proxies {
			injected, writes := proxy.Counts()
			r.result.Injected += injected
			r.result.Writes += writes
			proxy.Close()
		}
	}
	start := func(faults ...Fault) (*Proxy, context.CancelFunc, error) {
		proxy, err := NewProxy(r.cfg, faults...)
		if err != nil {
			return nil, nil, fmt.Errorf("starting a proxy: %w", err)
		}
		r.mu.Lock()
		r.proxies = append(r.proxies, proxy)
		r.mu.Unlock()
		ctx, kill := context.WithCancel(ctx)
		wait.Go(func() {
			r.labelled(ctx, func(ctx context.Context) {
				forget := func() {}
				err := r.subject.Run(ctx, proxy.Config(), r.namespace, func(count func() int) { forget = r.remembers(count) })
				// One that has crashed has nothing to forget any more.
				forget()
				if err != nil && ctx.Err() == nil {
					r.violate("the controller ended: %v", err)
				}
			})
		})
		return proxy, kill, nil
	}
	crashed := make(chan struct{})
	faults := r.cell.Faults
	if r.cell.Crash > 0 {
		faults = append(faults, r.crash(crashed))
	}
	_, kill, err := start(faults...)
	if err != nil {
		cancel()
		return stop, err
	}
	for range max(r.cell.Leaders-1, 0) {
		if _, _, err := start(); err != nil {
			cancel()
			return stop, err
		}
	}
	wait.Go(func() {
		select {
		case <-crashed:
			kill()
			if _, _, err := start(); err != nil {
				r.violate("%v", err)
			}
		case <-ctx.Done():
			kill()
		}
	})
	return stop, nil
}

// crash is the fault by which the controller dies at one of its writes.
func (r *run) crash(crashed chan<- struct{}) Fault {
	return Fault{
		Verb: AnyWrite, Every: r.cell.Crash, Times: 1,
		Do: func(p *Proxy, _ http.ResponseWriter, req *http.Request) bool {
			if r.cell.Committed {
				if resp, err := p.send(req); err == nil {
					_ = resp.Body.Close()
				}
			}
			p.Kill()
			close(crashed)
			return false
		},
	}
}
