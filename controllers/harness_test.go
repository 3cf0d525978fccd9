// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/test/wrappers"
)

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// harness is a reconciler whose cache is filled by the test and whose API server is a fake that counts.
type harness struct {
	*Reconciler
	watch  *watcher
	queue  queue
	server client.WithWatch
	events chan string
	// woken holds in how long passes were asked for beside the results.
	woken []time.Duration

	mu sync.Mutex
	// calls holds the writes in the order in which they came, as "create NAME" and so on.
	calls []string
	// patches holds what was sent by the patches among them.
	patches []string
	// before and after run around each write; an error of theirs is the caller's answer. Before, nothing is written;
	// after, it has been, and the answer is lost.
	before, after func(call string) error
}

// newHarness makes the objects known to the fake API server and to the cache.
func newHarness(t testing.TB, objs ...client.Object) *harness {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, podtrailv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatalf("Building the scheme: %v", err)
		}
	}
	nothing := func(string) error { return nil }
	h := &harness{before: nothing, after: nothing}
	h.server = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objs...).
		WithStatusSubresource(&podtrailv1alpha1.TeachingReplicaSet{}).WithInterceptorFuncs(h.intercept()).Build()
	indexer := func(keys toolscache.IndexFunc) toolscache.Indexer {
		return toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{
			controllerIndex:           keys,
			toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc,
		})
	}
	recorder := events.NewFakeRecorder(10000)
	h.events = recorder.Events
	h.Reconciler = &Reconciler{
		client:       h.server,
		live:         h.server,
		view:         &view{owners: indexer(ownerIndexKeys), pods: indexer(podIndexKeys)},
		expectations: expectations.New(clocktesting.NewFakePassiveClock(testNow)),
		events:       recorder,
		clock:        clocktesting.NewFakePassiveClock(testNow),
	}
	h.wake = func(_ types.NamespacedName, wait time.Duration) { h.woken = append(h.woken, wait) }
	h.watch = &watcher{view: h.view, expectations: h.expectations}
	h.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	t.Cleanup(h.queue.ShutDown)
	h.cache(t, objs...)
	return h
}

// cache puts objects into the cache, as the watch would.
func (h *harness) cache(t testing.TB, objs ...client.Object) {
	t.Helper()
	for _, obj := range objs {
		store := h.view.pods
		if _, isOwner := obj.(*podtrailv1alpha1.TeachingReplicaSet); isOwner {
			store = h.view.owners
		}
		if err := store.Add(obj); err != nil {
			t.Fatalf("Filling the cache: %v", err)
		}
	}
}

// catchUp puts the fake API server's Pods into the cache and notifies the watcher of the new ones.
func (h *harness) catchUp(t testing.TB) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := h.server.List(context.Background(), &list); err != nil {
		t.Fatalf("Listing: %v", err)
	}
	for i := range list.Items {
		pod := &list.Items[i]
		_, known, _ := h.view.pods.Get(pod)
		h.cache(t, pod)
		if !known {
			h.watch.podAdded(pod, h.queue)
		}
	}
	h.catchUpOwners(t)
	return list.Items
}

// catchUpOwners puts the fake API server's TeachingReplicaSets into the cache.
func (h *harness) catchUpOwners(t testing.TB) {
	t.Helper()
	var owners podtrailv1alpha1.TeachingReplicaSetList
	if err := h.server.List(context.Background(), &owners); err != nil {
		t.Fatalf("Listing: %v", err)
	}
	for i := range owners.Items {
		h.cache(t, &owners.Items[i])
	}
}

func (h *harness) intercept() interceptor.Funcs {
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return h.call("create "+obj.GetName(), func() error { return c.Create(ctx, obj, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			options := (&client.DeleteOptions{}).ApplyOptions(opts)
			if options.Preconditions == nil || options.Preconditions.UID == nil {
				return errors.New("a deletion without a UID could hit another Pod of the name")
			}
			return h.call("delete "+obj.GetName(), func() error { return c.Delete(ctx, obj, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			data, err := patch.Data(obj)
			if err != nil {
				return err
			}
			h.patches = append(h.patches, string(data))
			return h.call("patch "+obj.GetName(), func() error { return c.Patch(ctx, obj, patch, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			return h.call(sub+" "+obj.GetName(), func() error { return c.SubResource(sub).Update(ctx, obj, opts...) })
		},
	}
}

func (h *harness) call(call string, do func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, call)
	if err := h.before(call); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return h.after(call)
}

// reconcile makes one pass.
func (h *harness) reconcile(t testing.TB, owner *podtrailv1alpha1.TeachingReplicaSet) (ctrl.Result, error) {
	t.Helper()
	return h.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(owner)})
}

// taken returns how many calls of each verb were made since it was last called.
func (h *harness) taken() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	verbs := map[string]int{}
	for _, call := range h.calls {
		verbs[call[:slices.Index([]byte(call), ' ')]]++
	}
	h.calls = nil
	return verbs
}

// checkCalls compares the numbers of calls; a verb that is not wanted must not be there, but status is not compared.
func (h *harness) checkCalls(t testing.TB, when string, want map[string]int) {
	t.Helper()
	got := h.taken()
	delete(got, "status")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: calls differ (-want +got):\n%s", when, diff)
	}
}

// queued empties the queue and returns the names in it, sorted.
func (h *harness) queued() []string {
	names := []string{}
	for h.queue.Len() > 0 {
		request, _ := h.queue.Get()
		names = append(names, request.Name)
		h.queue.Done(request)
	}
	slices.Sort(names)
	return names
}

func makeOwner(name string) *wrappers.TeachingReplicaSetWrapper {
	return wrappers.MakeTeachingReplicaSet("ns", name).UID(name + "-uid")
}

func runningPods(owner *podtrailv1alpha1.TeachingReplicaSet, names ...string) []client.Object {
	var pods []client.Object
	for _, name := range names {
		pods = append(pods, wrappers.MakePod("ns", name).UID(name+"-uid").Of(owner).Ready(testNow).Obj())
	}
	return pods
}
