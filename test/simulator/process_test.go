// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"podtrail.dev/podtrail/controllers"
	"podtrail.dev/podtrail/controllers/expectations"
)

// errCrashed is what calls of a process that has crashed get; nobody is left to read it.
var errCrashed = errors.New("the process has crashed")

// pass is one call of Reconcile, with what it read, as the caches really had it.
type pass struct {
	proc *process
	name string
	// began is the server's version when the pass began.
	began uint64
	// owner is the object that the pass works for, nil if its cache had none; ownerVersion and podsVersion are how
	// old the caches were when they were first read.
	owner                     *trs
	ownerVersion, podsVersion uint64
	listed                    bool
	saw                       map[string]*corev1.Pod
	adopted                   map[string]bool
	statusWritten             bool
}

// call is something that a pass wants to do and that waits for the scheduler's leave.
type call struct {
	proc *process
	pass *pass
	what string
	// do carries it out on the server; nil for what only reads the cache.
	do     func() (client.Object, error)
	writes bool
	// pod is the name of the Pod that it creates, or looks for because its creation met one.
	pod    string
	answer chan answer
}

type answer struct {
	obj client.Object
	err error
}

// process is one manager: its own caches and, while it leads, the real controller.
type process struct {
	world     *world
	id, epoch int
	informers [2]*informer
	leading   bool
	// store holds the controller's expectations.
	store    *expectations.Store
	cancel   context.CancelFunc
	done     chan struct{}
	runnable manager.Runnable
	pass     *pass

	mu     sync.Mutex
	dead   bool
	parked []*call
}

func (p *process) String() string { return fmt.Sprintf("m%d.%d", p.id, p.epoch) }

func newProcess(w *world, id int) *process {
	w.epochs++
	p := &process{world: w, id: id, epoch: w.epochs}
	p.informers[pods], p.informers[owners] = newInformer(p, pods), newInformer(p, owners)
	return p
}

// lead starts the real controller, by SetupWithManager, on the process's caches.
func (p *process) lead() error {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done, p.leading = cancel, make(chan struct{}), true
	p.store = expectations.New(clock.RealClock{})
	if err := controllers.SetupWithManager(&fakeManager{proc: p}, controllers.Options{
		MaxConcurrentReconciles: 1, Expectations: p.store,
	}); err != nil {
		return err
	}
	go func() {
		defer close(p.done)
		if err := p.runnable.Start(ctx); err != nil {
			panic(err)
		}
	}()
	p.world.settle()
	for _, i := range p.informers {
		i.pending = nil
		for _, obj := range sorted(i.store) {
			i.pending = append(i.pending, notification{updated: obj, initial: true})
		}
		for len(i.pending) > 0 {
			p.world.handOver(i)
		}
	}
	return nil
}

// crash ends the process. What it has sent may still arrive: reached reports that for each call.
func (p *process) crash(reached func() bool) {
	p.mu.Lock()
	p.dead = true
	calls := p.parked
	p.parked = nil
	p.mu.Unlock()
	if p.cancel == nil {
		return
	}
	p.cancel()
	for _, c := range calls {
		if c.writes && reached() {
			p.world.logf("%s: in spite of the crash: %s", p, c.what)
			_, _ = p.world.carryOut(c)
		}
		c.answer <- answer{err: errCrashed}
	}
	<-p.done
}

// park waits for the scheduler's leave.
func (p *process) park(c *call) (client.Object, error) {
	c.proc, c.pass, c.answer = p, p.pass, make(chan answer, 1)
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return nil, errCrashed
	}
	p.parked = append(p.parked, c)
	slices.SortStableFunc(p.parked, func(a, b *call) int { return cmp.Compare(a.what, b.what) })
	p.mu.Unlock()
	a := <-c.answer
	return a.obj, a.err
}

// crashed reports that nothing that the process still does counts.
func (p *process) crashed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// waiting is the number of parked calls.
func (p *process) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.parked)
}

// take removes one of the parked calls.
func (p *process) take(n int) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.parked[n]
	p.parked = slices.Delete(p.parked, n, n+1)
	return c
}

// pause interrupts a pass before it reads its cache, sometimes, so that the cache can change in between.
func (p *process) pause(what string) {
	w := p.world
	if w.delivering || p.pass == nil || w.random.IntN(100) >= w.profile.pauses {
		return
	}
	_, _ = p.park(&call{what: what})
}

// begin is called by the worker when it has taken an object from its queue, before the pass reads anything.
func (p *process) begin(name string) {
	_, err := p.park(&call{what: "begin a pass over " + name})
	if err == nil {
		p.pass = &pass{proc: p, name: name, began: p.world.server.version, saw: map[string]*corev1.Pod{}, adopted: map[string]bool{}}
		if hook := p.world.mutant.beforePass; hook != nil {
			hook(p, name)
		}
	}
}

func (p *process) sawOwner(owner *trs, version uint64) {
	if p.pass != nil && !p.world.delivering && p.pass.owner == nil && owner.Name == p.pass.name {
		p.pass.owner, p.pass.ownerVersion = owner, version
	}
}

func (p *process) sawPods(found []any, version uint64) {
	if p.pass == nil || p.world.delivering {
		return
	}
	if !p.pass.listed {
		p.pass.listed, p.pass.podsVersion = true, version
	}
	for _, obj := range found {
		if pod, ok := obj.(*corev1.Pod); ok {
			p.pass.saw[pod.Name] = pod
		}
	}
}
