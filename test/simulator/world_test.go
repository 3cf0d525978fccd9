// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// violation is an invariant that did not hold.
type violation struct {
	invariant string
	detail    string
}

// world is one simulated run: one API server, its users, kubelets and garbage collector, and two processes that run
// the real controller. Everything in it follows from the seed.
type world struct {
	seed    uint64
	random  *rand.Rand
	profile profile
	mutant  mutant

	server  *server
	procs   [2]*process
	epochs  int
	steps   int
	log     []string
	logging sync.Mutex
	echo    bool
	// delivering is set while a watch handler runs: what it reads is no part of a pass.
	delivering bool
	oracle     oracle
	failed     *violation
}

// profile is what a seed decides about a whole run.
type profile struct {
	// leaders is how many processes lead at once. With one, standby is whether the other takes over after a crash,
	// with caches that lag, or the same one comes back with fresh ones.
	leaders int
	standby bool
	// overtaking lets Pods overtake each other on a watch, which no API server does.
	overtaking bool
	// faults and pauses are percentages: of requests that fail, and of cache reads before which a pass is interrupted.
	faults, pauses int
	// slowHandlers keeps what the store has seen from the handlers for a while.
	slowHandlers bool
	weights      [actions]int
}

// The kinds of steps.
const (
	actDeliver = iota
	actNotify
	actAnswer
	actKubelet
	actUser
	actCollect
	actTime
	actProcess
	actions
)

func newProfile(random *rand.Rand) profile {
	pick := func(values ...int) int { return values[random.IntN(len(values))] }
	p := profile{leaders: 1, faults: pick(0, 0, 5, 25, 40), pauses: pick(0, 10, 50), slowHandlers: random.IntN(3) == 0}
	switch random.IntN(10) {
	case 0, 1:
		p.standby = true
	case 2, 3, 4:
		p.leaders = 2
	case 5:
		p.overtaking = true
	}
	p.weights = [actions]int{
		actDeliver: pick(8, 12, 20, 40), actNotify: pick(10, 30), actAnswer: pick(30, 60), actKubelet: pick(4, 10, 20, 30),
		actUser: pick(2, 4, 6), actCollect: 3, actTime: pick(1, 3), actProcess: pick(0, 0, 1),
	}
	return p
}

func newWorld(seed uint64, m mutant, echo bool) *world {
	random := rand.New(rand.NewPCG(seed, 0))
	w := &world{seed: seed, random: random, profile: newProfile(random), mutant: m, echo: echo, server: newServer(), oracle: newOracle()}
	if m.profile != nil {
		m.profile(&w.profile)
	}
	w.logf("profile %+v", w.profile)
	return w
}

func (w *world) logf(format string, args ...any) {
	w.logging.Lock()
	defer w.logging.Unlock()
	line := fmt.Sprintf("%5d v%-4d %s", w.steps, w.server.version, fmt.Sprintf(format, args...))
	w.log = append(w.log, line)
	if w.echo {
		fmt.Println(line)
	}
}

func (w *world) fail(invariant, format string, args ...any) {
	if w.failed == nil {
		w.failed = &violation{invariant: invariant, detail: fmt.Sprintf(format, args...)}
		w.logf("VIOLATION of %q: %s", invariant, w.failed.detail)
	}
}

// settle waits until every goroutine of the run waits for the scheduler, or for time to pass.
func (w *world) settle() { synctest.Wait() }

// sleep lets time pass, and what wakes up then get as far as it can. The odd nanosecond keeps the scheduler from
// waking at the very time of some timer: the order of such two would be Go's choice and not the seed's.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d + time.Nanosecond)
	w.settle()
}

// step lets one thing happen, and checks the invariants.
func (w *world) step() {
	w.steps++
	for range 20 {
		if w.act(w.pickAction()) {
			break
		}
	}
	w.settle()
	w.check()
}

func (w *world) pickAction() int {
	total := 0
	for _, weight := range w.profile.weights {
		total += weight
	}
	n := w.random.IntN(total)
	for action, weight := range w.profile.weights {
		if n < weight {
			return action
		}
		n -= weight
	}
	return actTime
}

// act does one thing of a kind; false if there is nothing of that kind to do.
func (w *world) act(action int) bool {
	switch action {
	case actDeliver:
		return w.deliver()
	case actNotify:
		return w.notify()
	case actAnswer:
		return w.answer()
	case actKubelet:
		return w.kubelet()
	case actUser:
		return w.user()
	case actCollect:
		return w.collect()
	case actTime:
		return w.passTime()
	default:
		return w.disturb()
	}
}

func (w *world) informer() *informer {
	return w.procs[w.random.IntN(len(w.procs))].informers[w.random.IntN(2)]
}

func (w *world) deliver() bool {
	i := w.informer()
	if i.cut || i.lag() == 0 {
		return false
	}
	w.deliverTo(i)
	return true
}

func (w *world) deliverTo(i *informer) {
	skip := 0
	if w.profile.overtaking {
		skip = w.random.IntN(4)
	}
	c := i.deliver(skip)
	w.logf("%s: the cache sees %s %s of v%d (%s)", i.proc, i.resource, c.name, c.version, c.verb)
	w.hear(i)
}

// hear lets the handlers hear at once of what the store saw, unless they are slow in this run.
func (w *world) hear(i *informer) {
	for !w.profile.slowHandlers && len(i.pending) > 0 {
		w.handOver(i)
	}
}

func (w *world) notify() bool {
	i := w.informer()
	if len(i.pending) == 0 {
		return false
	}
	w.logf("%s: a handler hears of a change of %s", i.proc, i.resource)
	w.handOver(i)
	return true
}

// handOver passes one notification to the handler, if there is one: a standby has none.
func (w *world) handOver(i *informer) {
	if i.handler == nil {
		i.pending = nil
		return
	}
	w.delivering = true
	i.notify()
	w.delivering = false
	w.settle()
}

// passTime moves the clock on, usually a little, sometimes beyond the time for which expectations hold.
func (w *world) passTime() bool {
	d := []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 12 * time.Second, 2 * time.Minute, 6 * time.Minute}
	weights := w.random.IntN(40)
	n := []int{0, 1, 2, 3}[weights%4]
	if weights == 0 {
		n = 4 + w.random.IntN(2)
	}
	w.logf("%s pass", d[n])
	w.sleep(d[n])
	return true
}

// stop ends all processes; the run is over.
func (w *world) stop() {
	for _, p := range w.procs {
		p.crash(func() bool { return false })
	}
}

func sorted(store map[string]client.Object) []client.Object {
	objs := make([]client.Object, 0, len(store))
	for _, name := range slices.Sorted(maps.Keys(store)) {
		objs = append(objs, store[name])
	}
	return objs
}
