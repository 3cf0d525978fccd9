// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/controllers/replicas"
)

// History is what happened to the Pods of a namespace, as the API server, and not the proxy, reports it.
type History struct {
	mu     sync.Mutex
	events []change
	stop   func()
	done   chan struct{}
	// err is why not all changes were seen.
	err error
}

// change is one change of a Pod, or of the number that an owner asks for.
type change struct {
	version uint64
	// pod is set for a change of a Pod; gone is true if it no longer exists.
	pod  *corev1.Pod
	gone bool
	// wanted is set otherwise.
	wanted int
}

// NewHistory begins to record. The namespace must be empty.
func NewHistory(ctx context.Context, c client.WithWatch, namespace string) (*History, error) {
	in := client.InNamespace(namespace)
	var before corev1.PodList
	if err := c.List(ctx, &before, in); err != nil {
		return nil, fmt.Errorf("listing the Pods of %s: %w", namespace, err)
	}
	// The API server ends the watch of a client that falls behind; it is then taken up where it ended.
	watching, err := watchtools.NewRetryWatcherWithContext(ctx, before.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return c.Watch(ctx, &corev1.PodList{}, in, &client.ListOptions{Raw: &options})
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watching the Pods of %s: %w", namespace, err)
	}
	stopped := make(chan struct{})
	h := &History{done: make(chan struct{}), stop: sync.OnceFunc(func() {
		close(stopped)
		watching.Stop()
	})}
	go func() {
		defer close(h.done)
		for event := range watching.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok {
				h.add(change{version: version(pod), pod: pod, gone: event.Type == watch.Deleted})
			} else if event.Type == watch.Error {
				h.err = fmt.Errorf("watching the Pods of %s: %w", namespace, apierrors.FromObject(event.Object))
			}
		}
		select {
		case <-stopped:
		default:
			h.err = errors.Join(h.err, fmt.Errorf("the watch of the Pods of %s ended too early", namespace))
		}
	}()
	return h, nil
}

func (h *History) add(c change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, c)
}

// Wanted notes that the owner, as it is now, asks for a number of Pods.
func (h *History) Wanted(owner client.Object, replicas int) {
	h.add(change{version: version(owner), wanted: replicas})
}

// version is the resourceVersion as a number. The API server's are comparable between resources of one etcd.
func version(obj client.Object) uint64 {
	v, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// Totals is the result of a history for one owner.
type Totals struct {
	// Overshoot is the greatest number of active Pods beyond what was asked for. After the number was lowered, or an
	// orphan was adopted, the Pods that are still to go do not count.
	Overshoot int
	// Created is how many Pods the owner made.
	Created int
}

// Stop ends the recording and counts. An error means that changes are missing, so that nothing can be counted.
func (h *History) Stop(owner types.UID) (Totals, error) {
	h.stop()
	<-h.done
	if h.err != nil {
		return Totals{}, h.err
	}
	slices.SortStableFunc(h.events, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	c := counter{owner: owner, active: map[types.UID]bool{}, known: map[types.UID]bool{}}
	for _, e := range h.events {
		if e.pod == nil {
			c.wanted = e.wanted
			c.bound = max(c.wanted, len(c.active))
		} else {
			c.count(e.pod, e.gone)
		}
	}
	return c.totals, nil
}

// counter goes through a history.
type counter struct {
	owner  types.UID
	active map[types.UID]bool
	known  map[types.UID]bool
	wanted int
	// bound is how many active Pods there may be: those wanted, and those that are still to go.
	bound  int
	totals Totals
}

func (c *counter) count(pod *corev1.Pod, gone bool) {
	controlled := isControlledBy(pod, c.owner)
	if controlled && !c.known[pod.UID] && !isAdopted(pod) {
		c.totals.Created++
	}
	c.known[pod.UID] = true
	if controlled && !gone && replicas.IsActive(pod) {
		if !c.active[pod.UID] && isAdopted(pod) {
			// Adoption may exceed what is asked for, here as upstream; then a Pod is deleted.
			c.bound = max(c.bound, len(c.active)+1)
		}
		c.active[pod.UID] = true
	} else {
		delete(c.active, pod.UID)
	}
	c.totals.Overshoot = max(c.totals.Overshoot, len(c.active)-c.bound)
	c.bound = max(c.wanted, min(c.bound, len(c.active)))
}

func isControlledBy(pod *corev1.Pod, owner types.UID) bool {
	ref := metav1.GetControllerOfNoCopy(pod)
	return ref != nil && ref.UID == owner
}

// isAdopted reports whether the Pod is one of the scenario's orphans and not one that the owner created.
func isAdopted(pod *corev1.Pod) bool { return pod.Labels[orphanLabel] != "" }
