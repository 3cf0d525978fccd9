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

const (
	// holdGrace is how much longer the framework waits than the plugin. When the framework's time is up it rejects the
	// Pod, which would then be tried and held again; the plugin lets the Pod continue before that.
	holdGrace = 30 * time.Second
	// holdCheckEvery is how often a held Pod is looked up in the informer's cache. Waiting for an update would miss an
	// annotation that is removed before the framework lists the Pod as waiting.
	holdCheckEvery = 200 * time.Millisecond
)

const holdStateKey fwk.StateKey = "Permit" + Name

// Hold is the answer of Permit about a Pod that has the annotation.
type Hold struct {
	// Until is when the Pod continues by itself, or zero if it does not wait.
	Until time.Time
	// Problem is why the annotation has no effect, or empty.
	Problem string
}

// Clone returns the hold itself: nothing changes it after Permit.
func (h *Hold) Clone() fwk.StateData {
	return h
}

// ReadHold returns what Permit wrote into the cycle state, or nil if the Pod has no annotation.
func ReadHold(state fwk.CycleState) *Hold {
	data, err := state.Read(holdStateKey)
	if err != nil {
		return nil
	}
	hold, _ := data.(*Hold)
	return hold
}

// Permit lets a Pod wait that asks to be held. Its node stays reserved. No other Pod waits for it: the wait is part of
// the Pod's own binding cycle.
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

// release allows the Pod once its annotation is gone or the time is up. It returns when the hold has ended, whoever
// ended it, and when the scheduler ends.
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
			logger.V(2).Info("Letting a held Pod continue", "timedOut", now.After(until))
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
