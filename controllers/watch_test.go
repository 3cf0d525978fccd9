// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/test/wrappers"
)

func TestDeleteFinalStateUnknown(t *testing.T) {
	owner := makeOwner("web").Obj()
	h := newHarness(t, owner)
	pod := wrappers.MakePod("ns", "pod").UID("pod-uid").Of(owner).Obj()
	h.expectations.ExpectDeletions(identity(owner), []types.UID{"pod-uid"})
	h.watch.podHandler().Delete(t.Context(), event.DeleteEvent{Object: pod, DeleteStateUnknown: true}, h.queue)
	if diff := cmp.Diff([]string{"web"}, h.queued()); diff != "" {
		t.Errorf("Queue differs (-want +got):\n%s", diff)
	}
	if !h.expectations.Satisfied(identity(owner)) {
		t.Error("The deletion is still expected")
	}
}

func TestGetReplicaSetsWithSameController(t *testing.T) {
	owned := func(name, by string) *podtrailv1alpha1.TeachingReplicaSet {
		return makeOwner(name).Controller("Deployment", "d", by).Obj()
	}
	deleted := makeOwner("deleted").Controller("Deployment", "d", "789").Deleted(testNow).Obj()
	some, related, unrelated := owned("some", "123"), owned("related", "123"), owned("unrelated", "456")
	tests := map[string]struct {
		all  []*podtrailv1alpha1.TeachingReplicaSet
		of   *podtrailv1alpha1.TeachingReplicaSet
		want []string
	}{
		"one that is being deleted": {[]*podtrailv1alpha1.TeachingReplicaSet{deleted, unrelated}, deleted, []string{"deleted"}},
		"only itself":               {[]*podtrailv1alpha1.TeachingReplicaSet{some, unrelated}, some, []string{"some"}},
		"itself and a related one":  {[]*podtrailv1alpha1.TeachingReplicaSet{some, related, unrelated}, some, []string{"related", "some"}},
		"none without a controller": {[]*podtrailv1alpha1.TeachingReplicaSet{some}, makeOwner("alone").Obj(), nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			for _, owner := range tc.all {
				h.cache(t, owner)
			}
			siblings, err := h.view.siblings(tc.of)
			if err != nil {
				t.Fatalf("Looking up: %v", err)
			}
			var got []string
			for _, sibling := range siblings {
				got = append(got, sibling.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Siblings differ (-want +got):\n%s", diff)
			}
		})
	}
}

func BenchmarkGetReplicaSetsWithSameController(b *testing.B) {
	target := makeOwner("target").Controller("Deployment", "d", "123456").Obj()
	h := newHarness(b)
	h.cache(b, target, makeOwner("related").Controller("Deployment", "d", "123456").Obj())
	for i := range 100 {
		h.cache(b, makeOwner(fmt.Sprintf("unrelated-%d", i)).Controller("Deployment", "d", fmt.Sprint(i)).Obj())
	}
	for b.Loop() {
		if got, err := h.view.siblings(target); err != nil || len(got) != 2 {
			b.Fatalf("Got %d siblings and %v, want 2", len(got), err)
		}
	}
}

func TestPodControllerLookup(t *testing.T) {
	matching := makeOwner("web").Obj()
	empty := makeOwner("empty").Selector(metav1.LabelSelector{}).Obj()
	tests := map[string]struct {
		pod  *corev1.Pod
		want []string
	}{
		"a Pod without labels":           {pod: wrappers.MakePod("ns", "pod").Obj()},
		"labels but not namespace match": {pod: wrappers.MakePod("other", "pod").Label("app", "web").Obj()},
		"labels and namespace match":     {pod: wrappers.MakePod("ns", "pod").Label("app", "web").Obj(), want: []string{"web"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, matching, empty)
			var got []string
			for _, owner := range h.view.selecting(tc.pod) {
				got = append(got, owner.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Owners differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRelatedPodsLookup(t *testing.T) {
	some := makeOwner("some").Controller("Deployment", "d", "123").Obj()
	related := makeOwner("related").Controller("Deployment", "d", "123").Obj()
	unrelated := makeOwner("unrelated").Controller("Deployment", "d", "456").Obj()
	h := newHarness(t, some, related, unrelated,
		wrappers.MakePod("ns", "a").Of(some).Obj(), wrappers.MakePod("ns", "b").Of(related).Obj(),
		wrappers.MakePod("ns", "c").Of(unrelated).Obj(), wrappers.MakePod("ns", "d").Label("app", "some").Obj())
	pods, err := h.view.relatedPods(some)
	if err != nil {
		t.Fatalf("Looking up: %v", err)
	}
	var got []string
	for _, pod := range pods {
		got = append(got, pod.Name)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
		t.Errorf("Pods differ (-want +got):\n%s", diff)
	}
}

func TestWatchControllers(t *testing.T) {
	h := newHarness(t)
	h.watch.ownerHandler().Create(t.Context(), event.CreateEvent{Object: makeOwner("web").Obj()}, h.queue)
	if diff := cmp.Diff([]string{"web"}, h.queued()); diff != "" {
		t.Errorf("Queue differs (-want +got):\n%s", diff)
	}
}

func TestWatchPods(t *testing.T) {
	owner := makeOwner("web").Obj()
	h := newHarness(t, owner)
	before := wrappers.MakePod("ns", "pod").Of(owner).ResourceVersion("1").Obj()
	failed := wrappers.MakePod("ns", "pod").Of(owner).ResourceVersion("2").Phase(corev1.PodFailed).Obj()
	h.watch.podHandler().Update(t.Context(), event.UpdateEvent{ObjectOld: before, ObjectNew: failed}, h.queue)
	if diff := cmp.Diff([]string{"web"}, h.queued()); diff != "" {
		t.Errorf("Queue differs (-want +got):\n%s", diff)
	}
}

func TestUpdatePods(t *testing.T) {
	one, two := makeOwner("one").Obj(), makeOwner("two").Obj()
	pod := func(version string) *wrappers.PodWrapper {
		return wrappers.MakePod("ns", "pod").UID("pod-uid").ResourceVersion(version)
	}
	tests := map[string]struct {
		old, updated *corev1.Pod
		want         []string
	}{
		"labels change, controller stays": {pod("1").Of(one).Obj(), pod("2").Of(one).Label("app", "two").Obj(), []string{"one"}},
		"controller removed, another matches": {
			pod("1").Of(one).Label("app", "two").Obj(), pod("2").Label("app", "two").Obj(), []string{"one", "two"},
		},
		"controller removed, the same matches": {pod("1").Of(two).Obj(), pod("2").Label("app", "two").Obj(), []string{"two"}},
		"labels of an orphan come to match":    {pod("1").Obj(), pod("2").Label("app", "two").Obj(), []string{"two"}},
		"an orphan's status":                   {pod("1").Label("app", "two").Obj(), pod("2").Label("app", "two").Phase(corev1.PodRunning).Obj(), []string{}},
		"a resync":                             {pod("1").Of(one).Obj(), pod("1").Of(one).Obj(), []string{}},
		"deleted, with other labels and controller": {
			pod("1").Of(one).Obj(), pod("2").Of(two).Deleted(testNow).Obj(), []string{"one", "two"},
		},
		"an earlier object of that name": {
			pod("1").Of(makeOwner("one").UID("earlier").Obj()).Obj(),
			pod("2").Of(makeOwner("one").UID("earlier").Obj()).Label("x", "y").Obj(), []string{},
		},
		"another kind of the same name": {
			pod("1").ControlledBy("apps/v1", "ReplicaSet", "one", "one-uid").Obj(),
			pod("2").ControlledBy("apps/v1", "ReplicaSet", "one", "one-uid").Label("x", "y").Obj(), []string{},
		},
		"another group's kind of the same name": {
			pod("1").ControlledBy("example.com/v1", podtrailv1alpha1.Kind, "one", "one-uid").Obj(),
			pod("2").ControlledBy("example.com/v1", podtrailv1alpha1.Kind, "one", "one-uid").Label("x", "y").Obj(), []string{},
		},
		"another Pod of the name, missed by the watch": {
			pod("1").UID("first").Of(one).Obj(), pod("9").UID("second").Of(two).Obj(), []string{"one", "two"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, one, two)
			h.watch.podUpdated(tc.old, tc.updated, h.queue)
			if diff := cmp.Diff(tc.want, h.queued()); diff != "" {
				t.Errorf("Queue differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStatusDelay checks which updates of a Pod wait to be gathered: those that change nothing but counts.
func TestStatusDelay(t *testing.T) {
	owner := makeOwner("web").Obj()
	pod := func(version string) *wrappers.PodWrapper {
		return wrappers.MakePod("ns", "pod").UID("pod-uid").ResourceVersion(version).Of(owner)
	}
	tests := map[string]struct {
		old, updated *corev1.Pod
		want         time.Duration
	}{
		"becomes ready":            {pod("1").Obj(), pod("2").Ready(testNow).Obj(), statusDelay},
		"is no longer ready":       {pod("1").Ready(testNow).Obj(), pod("2").Phase(corev1.PodRunning).Obj(), statusDelay},
		"fails":                    {pod("1").Ready(testNow).Obj(), pod("2").Phase(corev1.PodFailed).Obj(), 0},
		"has ended and starts":     {pod("1").Phase(corev1.PodFailed).Obj(), pod("2").Phase(corev1.PodRunning).Obj(), 0},
		"is deleted":               {pod("1").Ready(testNow).Obj(), pod("2").Ready(testNow).Deleted(testNow).Obj(), 0},
		"changes its labels":       {pod("1").Obj(), pod("2").Label("x", "y").Obj(), 0},
		"is adopted":               {wrappers.MakePod("ns", "pod").UID("pod-uid").ResourceVersion("1").Obj(), pod("2").Obj(), 0},
		"is another of the name":   {pod("1").UID("earlier").Obj(), pod("2").Ready(testNow).Obj(), 0},
		"becomes ready and failed": {pod("1").Obj(), pod("2").Ready(testNow).Phase(corev1.PodFailed).Obj(), 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, owner)
			delays := &delays{queue: h.queue}
			h.watch.podUpdated(tc.old, tc.updated, delays)
			if len(delays.seen) == 0 || slices.Min(delays.seen) != tc.want {
				t.Errorf("The pass is asked for after %v, want %v", delays.seen, tc.want)
			}
		})
	}
}

// TestStatusEchoWaits checks which updates of an owner wait to be gathered with its Pods': those of its status.
func TestStatusEchoWaits(t *testing.T) {
	tests := map[string]struct {
		updated *podtrailv1alpha1.TeachingReplicaSet
		putOff  bool
		want    time.Duration
	}{
		"its status": {makeOwner("web").Generation(1).Status(podtrailv1alpha1.TeachingReplicaSetStatus{ReadyReplicas: 3}).Obj(), false, statusDelay},
		"its status, for which a pass was put off": {makeOwner("web").Generation(1).Status(podtrailv1alpha1.TeachingReplicaSetStatus{ReadyReplicas: 3}).Obj(), true, 0},
		"its number of Pods":                       {makeOwner("web").Generation(1).Status(podtrailv1alpha1.TeachingReplicaSetStatus{Replicas: 3}).Obj(), false, 0},
		"its spec":                                 {makeOwner("web").Generation(2).Obj(), false, 0},
		"it is deleted":                            {makeOwner("web").Generation(1).Deleted(testNow).Obj(), false, 0},
		"another of the name": {func() *podtrailv1alpha1.TeachingReplicaSet {
			other := makeOwner("web").Generation(1).Obj()
			other.UID = "another"
			return other
		}(), false, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			if tc.putOff {
				h.expectations.Wrote(identity(tc.updated), resourceOwners, "7")
				if h.expectations.CaughtUp(client.ObjectKeyFromObject(tc.updated), func(expectations.Resource) string { return "6" }) == nil {
					t.Fatal("The cache has caught up")
				}
			}
			delays := &delays{queue: h.queue}
			h.watch.ownerHandler().Update(t.Context(), event.UpdateEvent{
				ObjectOld: makeOwner("web").Generation(1).Obj(), ObjectNew: tc.updated,
			}, delays)
			if diff := cmp.Diff([]time.Duration{tc.want}, delays.seen); diff != "" {
				t.Errorf("The delays differ (-want +got):\n%s", diff)
			}
		})
	}
}

// delays notes after how long passes are asked for.
type delays struct {
	queue
	seen []time.Duration
}

func (d *delays) Add(reconcile.Request) { d.seen = append(d.seen, 0) }

func (d *delays) AddAfter(_ reconcile.Request, delay time.Duration) { d.seen = append(d.seen, delay) }

func TestExpectationsOnRecreate(t *testing.T) {
	first, second := makeOwner("web").UID("first").Obj(), makeOwner("web").UID("second").Obj()
	tests := map[string]func(*harness){
		"deleted, then created": func(h *harness) {
			h.watch.ownerHandler().Delete(t.Context(), event.DeleteEvent{Object: first}, h.queue)
			h.watch.ownerHandler().Create(t.Context(), event.CreateEvent{Object: second}, h.queue)
		},
		"seen as an update": func(h *harness) {
			h.watch.ownerHandler().Update(t.Context(), event.UpdateEvent{ObjectOld: first, ObjectNew: second}, h.queue)
		},
	}
	for name, recreate := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, first)
			if _, err := h.reconcile(t, first); err != nil {
				t.Fatalf("Reconcile: %v", err)
			}
			h.checkCalls(t, "for the first object", map[string]int{"create": 1})
			if h.expectations.Satisfied(identity(first)) {
				t.Fatal("Nothing is expected of the first object")
			}
			if err := h.server.Delete(t.Context(), first, client.Preconditions{UID: &first.UID}); err != nil {
				t.Fatalf("Deleting the first object: %v", err)
			}
			if err := h.server.Create(t.Context(), second.DeepCopy()); err != nil {
				t.Fatalf("Making the second object: %v", err)
			}
			h.taken()
			h.cache(t, second)
			recreate(h)
			if got := h.expectations.Len(); got != 0 {
				t.Errorf("%d owners are remembered before the second object did anything", got)
			}
			if diff := cmp.Diff([]string{"web"}, h.queued()); diff != "" {
				t.Errorf("Queue differs (-want +got):\n%s", diff)
			}
			if _, err := h.reconcile(t, second); err != nil {
				t.Fatalf("Reconcile: %v", err)
			}
			h.checkCalls(t, "for the second object", map[string]int{"create": 1})
			if h.expectations.Satisfied(identity(second)) {
				t.Error("Nothing is expected of the second object")
			}
		})
	}
}

func TestOverlappingRSs(t *testing.T) {
	h := newHarness(t)
	selector := metav1.LabelSelector{MatchLabels: map[string]string{"app": "shared"}}
	var owners []*podtrailv1alpha1.TeachingReplicaSet
	for i := range 10 {
		owners = append(owners, makeOwner(fmt.Sprintf("rs%d", i)).Selector(selector).Obj())
	}
	for _, i := range rand.Perm(len(owners)) {
		h.cache(t, owners[i])
	}
	h.watch.podAdded(wrappers.MakePod("ns", "pod").Of(owners[3]).Label("app", "shared").Obj(), h.queue)
	if diff := cmp.Diff([]string{"rs3"}, h.queued()); diff != "" {
		t.Errorf("Queue differs (-want +got):\n%s", diff)
	}
}

func TestDeletionTimestamp(t *testing.T) {
	owner := makeOwner("web").Obj()
	h := newHarness(t, owner)
	pod := func() *wrappers.PodWrapper { return wrappers.MakePod("ns", "pod").UID("pod-uid").Of(owner) }
	deleted := pod().ResourceVersion("2").Deleted(testNow).Obj()
	check := func(when string, want bool) {
		t.Helper()
		if got := h.expectations.Satisfied(identity(owner)); got != want {
			t.Errorf("%s: satisfied is %v, want %v", when, got, want)
		}
	}
	h.expectations.ExpectDeletions(identity(owner), []types.UID{"pod-uid"})
	h.watch.podAdded(deleted, h.queue)
	check("added with a deletionTimestamp", true)

	h.expectations.ExpectDeletions(identity(owner), []types.UID{"pod-uid"})
	h.watch.podUpdated(pod().ResourceVersion("1").Obj(), deleted, h.queue)
	check("updated to have one", true)

	h.expectations.ExpectDeletions(identity(owner), []types.UID{"second-uid"})
	h.watch.podUpdated(pod().ResourceVersion("1").Deleted(testNow).Obj(), deleted, h.queue)
	check("updated again, with another Pod expected", false)
	h.watch.podDeleted(deleted, h.queue)
	check("ended, with another Pod expected", false)
	h.watch.podDeleted(wrappers.MakePod("ns", "second").UID("second-uid").Of(owner).Obj(), h.queue)
	check("the other Pod ended", true)
	if diff := cmp.Diff([]string{"web"}, h.queued()); diff != "" {
		t.Errorf("Queue differs (-want +got):\n%s", diff)
	}
}

// TestNameTakenOver checks that the informer's update from one Pod to the next of the same name counts as the
// deletion of the first and the creation of the second.
func TestNameTakenOver(t *testing.T) {
	owner := makeOwner("web").Obj()
	h := newHarness(t, owner)
	pod := func(uid, version string) *corev1.Pod {
		return wrappers.MakePod("ns", "pod").UID(uid).ResourceVersion(version).Of(owner).Obj()
	}
	h.expectations.ExpectDeletions(identity(owner), []types.UID{"first"})
	h.watch.podUpdated(pod("first", "1"), pod("second", "9"), h.queue)
	if !h.expectations.Satisfied(identity(owner)) {
		t.Error("The first Pod's deletion is still expected")
	}
	h.expectations.ExpectCreations(identity(owner), []string{"pod"})
	h.watch.podUpdated(pod("first", "1"), pod("second", "9"), h.queue)
	if !h.expectations.Satisfied(identity(owner)) {
		t.Error("The second Pod's creation is still expected")
	}
}

// racingIndexer lets something happen right after Pods were listed.
type racingIndexer struct {
	toolscache.Indexer
	onList func()
}

func (r *racingIndexer) ByIndex(name, key string) ([]any, error) {
	defer r.onList()
	return r.Indexer.ByIndex(name, key)
}
