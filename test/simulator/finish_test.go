// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const (
	// maxBackOff is controller-runtime's longest wait before a retry, and a little.
	maxBackOff = 1010 * time.Second
	// maxDrain bounds the steps that it may take until nothing is left to do.
	maxDrain = 5000
)

// finish ends the faults, lets everything arrive and checks that the world comes to rest as the specification asks.
func (w *world) finish() {
	w.profile.faults, w.profile.pauses, w.profile.slowHandlers = 0, 0, false
	w.server.quota = false
	w.logf("no more faults")
	if w.procs[0].leading && w.procs[1].leading && w.seed%2 == 0 {
		w.logf("%s stops", w.procs[1])
		w.procs[1].crash(func() bool { return false })
		w.procs[1] = newProcess(w, 1)
	}
	for _, check := range []func(){w.comeToRest, w.checkRest, w.checkWoken, w.checkForgotten} {
		if w.failed == nil {
			check()
		}
	}
}

// comeToRest waits until all is as asked for, for as long as a retry may take.
func (w *world) comeToRest() {
	for waited := time.Duration(0); ; waited += 5 * time.Second {
		w.drain()
		problem := w.unsettled()
		if problem == "" || w.failed != nil {
			return
		}
		if waited > maxBackOff {
			w.fail(converges, "%s", problem)
			return
		}
		w.sleep(5 * time.Second)
	}
}

// checkWoken changes one thing at a time in a world at rest, where nothing else would wake the controller. Now and
// then the watches of Pods miss it, and all that follows from it without the controller, and list again.
func (w *world) checkWoken() {
	for n := 0; n < 4 && w.failed == nil; n++ {
		if w.random.IntN(2) == 0 {
			for _, p := range w.procs {
				p.informers[pods].cut = true
			}
		}
		w.user()
		w.server.quota = false
		for w.collect() || w.calmKubelet() {
			w.check()
		}
		w.settle()
		w.check()
		w.comeToRest()
	}
}

// checkRest waits for longer than expectations hold: nothing may be written any more.
func (w *world) checkRest() {
	requests := w.oracle.requests
	for range 4 {
		w.sleep(90 * time.Second)
		w.drain()
	}
	if problem := w.unsettled(); problem != "" {
		w.fail(converges, "at rest: %s", problem)
	}
	if w.oracle.requests != requests {
		w.fail(quiescent, "%d writes after all was as asked for", w.oracle.requests-requests)
	}
}

// checkForgotten deletes every owner and looks into the expectations.
func (w *world) checkForgotten() {
	for _, name := range w.server.names(owners) {
		w.server.deleteOwner(name, metav1.DeletePropagationBackground)
	}
	for range 4 {
		w.drain()
		w.sleep(2 * time.Minute)
	}
	w.drain()
	for _, p := range w.procs {
		if !p.leading || w.failed != nil || len(w.server.names(owners)) > 0 {
			continue
		}
		if left := p.store.Len(); left > 0 {
			w.fail(nothingLeft, "%s still knows %d owners", p, left)
		}
	}
}

// drain lets everything happen that can happen without time passing.
func (w *world) drain() {
	for n := 0; w.failed == nil; n++ {
		if n > maxDrain {
			w.fail(boundedSteps, "after %d steps there is still something to do", n)
		}
		if !w.drainOne() {
			return
		}
		w.settle()
		w.steps++
		w.check()
	}
}

func (w *world) drainOne() bool {
	for _, p := range w.procs {
		for _, i := range p.informers {
			switch {
			case i.cut:
				i.relist(len(w.server.watch[i.resource]))
				w.hear(i)
				return true
			case len(i.pending) > 0:
				w.handOver(i)
				return true
			case i.lag() > 0:
				w.deliverTo(i)
				return true
			}
		}
		if p.waiting() > 0 {
			w.serve(p.take(0))
			return true
		}
	}
	return w.collect() || w.calmKubelet()
}

// calmKubelet brings every Pod to where it belongs: running and ready, or gone. What a finalizer keeps stays.
func (w *world) calmKubelet() bool {
	for _, name := range w.server.names(pods) {
		pod := w.server.pod(name)
		switch {
		case pod.DeletionTimestamp != nil && len(pod.Finalizers) == 0:
			w.server.commit(pods, name, nil, "kubelet", nil)
			return true
		case pod.DeletionTimestamp != nil, finished(pod):
		case pod.Spec.NodeName == "" || !isReady(pod):
			w.change(name, "is assigned, running and ready", func(pod *corev1.Pod) {
				pod.Spec.NodeName, pod.Status.Phase = "node-0", corev1.PodRunning
				setReady(pod, true)
			})
			return true
		}
	}
	return false
}

// unsettled returns what is not yet as it should be, or "".
func (w *world) unsettled() string {
	for _, name := range w.server.names(owners) {
		owner := w.server.owner(name)
		counted, asked := w.counted(owner.UID), int(ptr.Deref(owner.Spec.Replicas, 1))
		if owner.DeletionTimestamp == nil && !owner.Spec.Paused {
			// In a namespace that is being deleted nothing can be created any more, and that does not end.
			if counted > asked || (counted < asked && !w.server.terminating) {
				return fmt.Sprintf("%s has %d Pods, %d are asked for", name, counted, asked)
			}
			if problem := w.unclaimed(owner); problem != "" {
				return problem
			}
		}
		replicas, labelled, ready, available, terminating := w.wantStatus(owner)
		want := [...]int64{int64(replicas), int64(labelled), int64(ready), int64(available), int64(terminating), owner.Generation}
		if available < ready {
			return fmt.Sprintf("%s has Pods that are ready and not yet available", name)
		}
		s := &owner.Status
		got := [...]int64{int64(s.Replicas), int64(s.FullyLabeledReplicas), int64(s.ReadyReplicas), int64(s.AvailableReplicas),
			int64(ptr.Deref(s.TerminatingReplicas, 0)), s.ObservedGeneration}
		if got != want {
			return fmt.Sprintf("the status of %s (replicas, labelled, ready, available, terminating, generation) is %v, not %v", name, got, want)
		}
		if len(s.Conditions) > 0 && owner.DeletionTimestamp == nil && !owner.Spec.Paused {
			return fmt.Sprintf("%s still reports %v", name, s.Conditions)
		}
	}
	return ""
}

// unclaimed names an active Pod that the owner should have adopted or released.
func (w *world) unclaimed(owner *trs) string {
	for _, name := range w.server.names(pods) {
		pod := w.server.pod(name)
		if finished(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		switch controllerUID(pod) {
		case "":
			if selects(owner, pod) {
				return fmt.Sprintf("%s has not adopted %s", owner.Name, name)
			}
		case owner.UID:
			if !selects(owner, pod) {
				return fmt.Sprintf("%s has not released %s", owner.Name, name)
			}
		}
	}
	return ""
}
