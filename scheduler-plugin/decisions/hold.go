// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// HoldAnnotationKey on a Pod, with the value HoldAtPermit, lets it wait in Permit until the annotation is taken away
// or the time is up.
const (
	HoldAnnotationKey = "podtrail.dev/hold-at"
	HoldAtPermit      = "permit"
)

const (
	// holdGrace is how much longer the framework would wait than we do. When its time is up the framework rejects the
	// Pod, which would only be tried and held once more; a breakpoint lets go instead.
	holdGrace = 30 * time.Second
	// holdCheckEvery is how often a held Pod is looked up in the informer's cache. Looking is right where waiting for
	// an update is not: the annotation can be gone before the framework lists the Pod as waiting.
	holdCheckEvery = 200 * time.Millisecond
)

const holdStateKey fwk.StateKey = "Permit" + Name

// Hold is what Permit says about a Pod that has the annotation.
type Hold struct {
	// Until is when the Pod goes on by itself; zero if it does not wait.
	Until time.Time
	// Problem says why the annotation has no effect.
	Problem string
}

// Clone returns the hold itself: nothing changes it after Permit.
func (h *Hold) Clone() fwk.StateData {
	return h
}

// ReadHold returns what Permit wrote into the cycle state; nil if the Pod has no annotation.
func ReadHold(state fwk.CycleState) *Hold {
	data, err := state.Read(holdStateKey)
	if err != nil {
		return nil
	}
	hold, _ := data.(*Hold)
	return hold
}

// Permit lets a Pod wait that asks for it. Its node stays reserved, and no other Pod waits with it: the wait is in the
// Pod's own binding cycle.
func (pl *DecisionRecorder) Permit(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, _ string) (*fwk.Status, time.Duration) {
	at, asks := pod.Annotations[HoldAnnotationKey]
	if !asks {
		return nil, 0
	}
	if at != HoldAtPermit {
		problem := fmt.Sprintf("annotation %s is %q, want %q: the Pod is not held", HoldAnnotationKey, at, HoldAtPermit)
		klog.FromContext(ctx).Info("Ignoring an annotation", "pod", klog.KObj(pod), "problem", problem)
		state.Write(holdStateKey, &Hold{Problem: problem})
		return nil, 0
	}
	timeout := pl.holdTimeout()
	until := time.Now().Add(timeout)
	state.Write(holdStateKey, &Hold{Until: until})
	go pl.release(klog.FromContext(ctx), pod.Namespace, pod.Name, pod.UID, until)
	return fwk.NewStatus(fwk.Wait, fmt.Sprintf("held by the annotation %s for at most %s", HoldAnnotationKey, timeout)),
		timeout + holdGrace
}

// release allows the Pod once its annotation is gone or the time is up. It returns when the hold has ended, whoever ended
// it, and when the scheduler ends.
func (pl *DecisionRecorder) release(logger klog.Logger, namespace, name string, uid types.UID, until time.Time) {
	ticker := time.NewTicker(holdCheckEvery)
	defer ticker.Stop()
	listed := false
	for {
		var now time.Time
		select {
		case <-pl.stopped:
			return
		case now = <-ticker.C:
		}
		pod := pl.handle.GetWaitingPod(uid)
		switch {
		case pod == nil && (listed || now.After(until)):
			return // bound, rejected or preempted
		case pod == nil: // the framework is about to list it
		case now.After(until) || pl.continues(namespace, name, uid):
			logger.V(2).Info("Letting a held Pod go on", "timedOut", now.After(until))
			pod.Allow(Name)
			return
		default:
			listed = true
		}
	}
}

// continues reports whether the annotation or the Pod is gone.
func (pl *DecisionRecorder) continues(namespace, name string, uid types.UID) bool {
	pod, err := pl.pods.Pods(namespace).Get(name)
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	return pod.UID != uid || pod.Annotations[HoldAnnotationKey] != HoldAtPermit
}
