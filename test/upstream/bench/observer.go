// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

// observer watches one namespace. It sees what the API server has, whatever the controller believes.
type observer struct {
	kind kind

	mu      sync.Mutex
	pods    map[types.UID]*corev1.Pod
	active  map[types.UID]int
	total   int
	reports map[types.UID]report
	// wanted is how many Pods each owner should have; overshoot is by how many one has had more since it was set.
	wanted, overshoot int
	// changed is closed and renewed with each change.
	changed chan struct{}
}

// observe watches until ctx ends.
func observe(ctx context.Context, p *plane.Plane, k kind, namespace string) (*observer, error) {
	o := &observer{
		kind: k, pods: map[types.UID]*corev1.Pod{}, active: map[types.UID]int{}, reports: map[types.UID]report{},
		changed: make(chan struct{}),
	}
	handlers := map[client.Object]func(obj any, exists bool){&corev1.Pod{}: o.pod, k.empty: o.owner}
	if err := p.Watch(ctx, namespace, handlers); err != nil {
		return nil, err
	}
	return o, nil
}

// ownerOf is the controller of a Pod that counts, or empty.
func ownerOf(pod *corev1.Pod) types.UID {
	if pod == nil || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return ""
	}
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
		return ref.UID
	}
	return ""
}

func (o *observer) pod(obj any, exists bool) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if owner := ownerOf(o.pods[pod.UID]); owner != "" {
		o.active[owner]--
		o.total--
	}
	if !exists {
		delete(o.pods, pod.UID)
		o.wake()
		return
	}
	o.pods[pod.UID] = pod
	if owner := ownerOf(pod); owner != "" {
		o.active[owner]++
		o.total++
		o.overshoot = max(o.overshoot, o.active[owner]-o.wanted)
	}
	o.wake()
}

func (o *observer) owner(obj any, exists bool) {
	owner, ok := obj.(client.Object)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if exists {
		o.reports[owner.GetUID()] = o.kind.report(owner)
	} else {
		delete(o.reports, owner.GetUID())
	}
	o.wake()
}

func (o *observer) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// want says how many Pods each owner should have from now on. When there are fewer to have than there are, the
// overshoot is counted from there.
func (o *observer) want(replicas int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted, o.overshoot = replicas, 0
}

// state is what is seen at one moment.
type state struct {
	pods, overshoot                   int
	owners, observed, reported, ready int
}

func (s state) String() string {
	return fmt.Sprintf("%d Pods; of %d objects %d report on their generation, in all %d Pods and %d ready",
		s.pods, s.owners, s.observed, s.reported, s.ready)
}

func (o *observer) look() (state, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := state{pods: o.total, overshoot: o.overshoot, owners: len(o.reports)}
	for _, r := range o.reports {
		if r.observed {
			s.observed++
		}
		s.reported += r.replicas
		s.ready += r.ready
	}
	return s, o.changed
}

// until waits for a state and returns when it was seen.
func (o *observer) until(ctx context.Context, what string, timeout time.Duration, reached func(state) bool, problem func() error) (time.Time, error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	check := time.NewTicker(time.Second)
	defer check.Stop()
	for {
		seen, changed := o.look()
		if reached(seen) {
			return time.Now(), nil
		}
		select {
		case <-changed:
		case <-check.C:
			if err := problem(); err != nil {
				return time.Time{}, err
			}
		case <-deadline.C:
			return time.Time{}, fmt.Errorf("waited %s for %s; seen last: %s", timeout, what, seen)
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("stopped while waiting for %s: %w", what, ctx.Err())
		}
	}
}

// podList returns copies of the Pods.
func (o *observer) podList() []*corev1.Pod {
	o.mu.Lock()
	defer o.mu.Unlock()
	pods := make([]*corev1.Pod, 0, len(o.pods))
	for _, pod := range o.pods {
		pods = append(pods, pod.DeepCopy())
	}
	return pods
}
