// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"math"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// answer lets one call of a process go on.
func (w *world) answer() bool {
	p := w.procs[w.random.IntN(len(w.procs))]
	waiting := p.waiting()
	if waiting == 0 {
		return false
	}
	c := p.take(w.random.IntN(waiting))
	switch {
	case c.do == nil || w.random.IntN(100) >= w.profile.faults:
		w.serve(c)
	case c.writes && w.random.IntN(2) == 0:
		_, _ = w.carryOut(c)
		for _, change := range w.server.history {
			if change.version > w.oracle.checked {
				change.lost = true
			}
		}
		w.refuse(c, "carried out, answer lost", w.lostAnswer())
	default:
		w.refuse(c, "refused", w.refusal())
	}
	return true
}

// serve lets a call go on without a fault.
func (w *world) serve(c *call) {
	obj, err := w.carryOut(c)
	for _, d := range w.oracle.doubts {
		if d.proc == c.proc && d.name == c.pod && err == nil {
			d.until = min(d.until, w.server.version)
		}
	}
	if err != nil {
		w.logf("%s: %s: %v", c.proc, c.what, err)
	} else {
		w.logf("%s: %s", c.proc, c.what)
	}
	c.answer <- answer{obj: obj, err: err}
}

func (w *world) carryOut(c *call) (client.Object, error) {
	if c.do == nil {
		return nil, nil
	}
	obj, err := c.do()
	if c.writes && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		w.oracle.requests++
	}
	return obj, err
}

func (w *world) refuse(c *call, how string, err error) {
	w.logf("%s: %s: %s: %v", c.proc, c.what, how, err)
	if c.pod != "" {
		w.oracle.doubts = append(w.oracle.doubts, &doubt{proc: c.proc, name: c.pod, since: c.pass.podsVersion, until: math.MaxUint64})
	}
	c.answer <- answer{err: err}
}

func (w *world) lostAnswer() error {
	if w.random.IntN(2) == 0 {
		return apierrors.NewTimeoutError("the server was unable to return a response in the time allotted", 1)
	}
	return errors.New("read tcp: connection reset by peer")
}

func (w *world) refusal() error {
	switch w.random.IntN(4) {
	case 0:
		return apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
	case 1:
		return apierrors.NewTooManyRequests("the server is busy", 1)
	case 2:
		return apierrors.NewGenericServerResponse(http.StatusServiceUnavailable, "", pods.group(), "", "no endpoints", 1, true)
	default:
		return errors.New("dial tcp: connection refused")
	}
}

// disturb crashes, replaces or cuts off a process.
func (w *world) disturb() bool {
	n := w.random.IntN(len(w.procs))
	switch w.random.IntN(4) {
	case 0:
		i := w.informer()
		i.cut = true
		w.logf("%s: the watch of %s is cut", i.proc, i.resource)
	case 1:
		i := w.informer()
		upTo := i.next + w.random.IntN(i.lag()+1)
		w.logf("%s: %s are listed again, as of entry %d of %d", i.proc, i.resource, upTo, i.next+i.lag())
		i.relist(upTo)
		w.hear(i)
	default:
		if !w.procs[n].leading {
			return false
		}
		w.crash(n)
	}
	return true
}

// crash ends a leader. It comes back with fresh caches and leads again, unless a standby takes over.
func (w *world) crash(n int) {
	w.logf("%s crashes", w.procs[n])
	w.procs[n].crash(func() bool { return w.random.IntN(2) == 0 })
	w.procs[n] = newProcess(w, n)
	next := n
	if w.profile.standby {
		next = 1 - n
	}
	w.lead(next)
}

func (w *world) lead(n int) {
	w.logf("%s leads", w.procs[n])
	if err := w.procs[n].lead(); err != nil {
		w.fail("the controller starts", "%v", err)
	}
}
