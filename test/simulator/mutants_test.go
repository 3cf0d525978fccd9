// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// mutant is a wrong controller: the real one, with something wrong put in where it meets its client, its cache or
// its watch. The zero mutant is the real one.
type mutant struct {
	name string
	// want holds the invariants that may catch it.
	want []string
	// profile makes likely what the mutant gets wrong; the real controller has to stand it too.
	profile func(*profile)
	// client and live replace what the controller writes with, and what it reads past the cache with.
	client func(*process, client.Client) client.Client
	live   func(*process, client.Reader) client.Reader
	// indexer replaces what the controller sees of one cache.
	indexer func(*informer) toolscache.Indexer
	// deaf keeps a notification from the handlers.
	deaf func(resource, notification) bool
	// renames reports that Pods get other names than the events say, so that these are no evidence.
	renames bool
	// beforePass runs at the beginning of each pass.
	beforePass func(p *process, name string)
}

// maxSeeds bounds the search for a run in which a mutant does wrong.
const maxSeeds = 1000

func busy(p *profile) {
	p.leaders, p.standby, p.overtaking, p.faults, p.pauses = 1, false, false, 25, 50
	p.weights[actProcess] = 0
}

// lossy makes Pods come and go faster than the cache sees it, and creations fail.
func lossy(p *profile) {
	busy(p)
	p.faults, p.pauses = 40, 0
	p.weights[actDeliver], p.weights[actAnswer], p.weights[actKubelet], p.weights[actUser] = 12, 60, 30, 6
}

// interrupted lets Pods whose creation was not answered be seen while a pass is under way.
func interrupted(p *profile) {
	busy(p)
	p.faults, p.pauses = 75, 80
	p.weights[actAnswer], p.weights[actTime] = 60, 6
}

// failing lets most writes fail, so that a second attempt usually fails too.
func failing(p *profile) {
	busy(p)
	p.faults, p.pauses = 75, 0
	p.weights[actAnswer], p.weights[actKubelet] = 60, 30
}

// swift lets names change hands while two leaders have yet to see it.
func swift(p *profile) {
	lossy(p)
	p.leaders, p.faults = 2, 0
}

func oneLeader(p *profile) { p.leaders, p.standby, p.overtaking, p.faults = 1, false, false, 0 }

func relisting(p *profile) { oneLeader(p); p.weights[actProcess] = 5 }

var mutants = []mutant{
	{
		name: "counts Pods by label, whoever controls them", want: []string{ownPods}, profile: oneLeader,
		indexer: takesForOwn(func(owner *trs, pod *corev1.Pod) bool { return selects(owner, pod) }),
	},
	{
		name: "counts Pods by the name of their controller, not by its UID", want: []string{ownPods, converges}, profile: oneLeader,
		indexer: takesForOwn(func(owner *trs, pod *corev1.Pod) bool {
			return metav1.GetControllerOf(pod).Name == owner.Name && selects(owner, pod)
		}),
	},
	{
		name: "releases Pods that others control", want: []string{ownPods}, profile: oneLeader,
		indexer: takesForOwn(func(owner *trs, pod *corev1.Pod) bool { return !selects(owner, pod) }),
		client:  releasesAnyone,
	},
	{
		name: "expects nothing and does not wait for its own writes", want: []string{neverTooFew, neverMore}, profile: oneLeader,
		beforePass: forgetsExpectations,
	},
	{
		name: "does not compare its cache with what it wrote", want: []string{neverMore}, profile: busy,
		indexer: func(i *informer) toolscache.Indexer { return &ungated{&indexer{from: i}} },
	},
	{
		name: "gives a new name each time", want: []string{neverMore}, profile: busy,
		client: givesNewNames, renames: true,
	},
	{
		name: "gives another name after a failure", want: []string{neverMore}, profile: busy,
		client: renamesAfterFailure, renames: true,
	},
	{
		name: "takes a lost answer for a refusal", want: []string{neverMore}, profile: lossy,
		client: takesLossForRefusal,
	},
	{
		name: "picks slots in a newer state than it counts in", want: []string{neverMore}, profile: interrupted,
		indexer: skewed(pods, func(_ *informer, obj any) any {
			return edited(obj, func(pod *corev1.Pod) { pod.OwnerReferences = nil })
		}, nil),
	},
	{
		name: "takes any Pod that holds a name for its own", want: []string{truthful}, profile: busy,
		client: takesAnyPod,
	},
	{
		name: "counts terminating Pods as active", want: []string{converges, neverTooFew}, profile: oneLeader,
		indexer: skewed(pods, nil, func(_ *informer, found []any) []any {
			return editedAll(found, func(pod *corev1.Pod) { pod.DeletionTimestamp = nil })
		}),
	},
	{
		name: "counts finished Pods as active", want: []string{converges}, profile: oneLeader,
		indexer: skewed(pods, nil, func(_ *informer, found []any) []any {
			return editedAll(found, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodRunning })
		}),
	},
	{
		name: "adopts without asking the API server about the owner", want: []string{noDeadOwner}, profile: oneLeader,
		live: func(p *process, r client.Reader) client.Reader { return &cachedReader{Reader: r, proc: p} },
	},
	{
		name: "ignores that the owner is being deleted", want: []string{noDeadOwner}, profile: oneLeader,
		indexer: skewed(owners, func(_ *informer, obj any) any { return undeleted(obj) }, nil),
	},
	{
		name: "deletes only by name", want: []string{seenPods}, profile: swift,
		client: deletesByName,
	},
	{
		name: "deletes one Pod more", want: []string{neverTooFew, seenPods}, profile: oneLeader,
		client: deletesOneMore,
	},
	{
		name: "writes the status before it acts", want: []string{statusLast}, profile: oneLeader,
		client: writesStatusFirst,
	},
	{
		name: "takes a failed write of the status for done", want: []string{converges}, profile: failing,
		client: ignoresStatusErrors,
	},
	{
		name: "ignores paused", want: []string{paused}, profile: oneLeader,
		indexer: skewed(owners, func(_ *informer, obj any) any {
			owner := obj.(*trs).DeepCopy()
			owner.Spec.Paused = false
			return owner
		}, nil),
	},
	{
		name: "keeps what it expected of an owner that is gone", want: []string{nothingLeft}, profile: oneLeader,
		deaf: func(r resource, n notification) bool { return r == owners && n.updated == nil },
	},
	{
		name: "ignores tombstones", want: []string{converges}, profile: relisting,
		deaf: func(r resource, n notification) bool { return r == pods && n.tombstone },
	},
	{
		name: "is not woken by changed labels", want: []string{converges}, profile: oneLeader,
		deaf: func(r resource, n notification) bool {
			return r == pods && n.old != nil && n.updated != nil && n.old.GetLabels()["app"] != n.updated.GetLabels()["app"]
		},
	},
	{
		name: "is not woken by the end of a Pod", want: []string{converges}, profile: oneLeader,
		deaf: func(r resource, n notification) bool {
			return r == pods && (n.updated == nil || n.updated.GetDeletionTimestamp() != nil)
		},
	},
}

// TestMutants lets every mutant run until an invariant catches it, and the real controller through the same run.
func TestMutants(t *testing.T) {
	if *seedFlag != 0 {
		t.Skip("one seed is replayed")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= maxSeeds; seed++ {
				w := run(t, seed, m, false)
				if w.failed == nil {
					continue
				}
				if !slices.Contains(m.want, w.failed.invariant) {
					t.Fatalf("Caught by the wrong invariant: %s", report(w))
				}
				if real := run(t, seed, mutant{profile: m.profile}, false); real.failed != nil {
					t.Fatalf("The real controller fails the same run: %s", report(real))
				}
				t.Logf("caught by %q in run %d, step %d: %s", w.failed.invariant, seed, w.steps, w.failed.detail)
				return
			}
			t.Fatalf("No invariant has caught this mutant in %d runs", maxSeeds)
		})
	}
}

// edited returns a changed copy of a Pod.
func edited(obj any, edit func(*corev1.Pod)) any {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj
	}
	pod = pod.DeepCopy()
	edit(pod)
	return pod
}

func editedAll(objs []any, edit func(*corev1.Pod)) []any {
	changed := make([]any, 0, len(objs))
	for _, obj := range objs {
		changed = append(changed, edited(obj, edit))
	}
	return changed
}

func undeleted(obj any) any {
	owner := obj.(*trs).DeepCopy()
	owner.DeletionTimestamp = nil
	return owner
}

// skewedIndexer shows what is not so.
type skewedIndexer struct {
	*indexer
	get  func(*informer, any) any
	list func(*informer, []any) []any
}

func skewed(r resource, get func(*informer, any) any, list func(*informer, []any) []any) func(*informer) toolscache.Indexer {
	return func(i *informer) toolscache.Indexer {
		if i.resource != r {
			return &indexer{from: i}
		}
		return &skewedIndexer{indexer: &indexer{from: i}, get: get, list: list}
	}
}

// GetByKey implements toolscache.Store.
func (x *skewedIndexer) GetByKey(key string) (any, bool, error) {
	obj, exists, err := x.indexer.GetByKey(key)
	if exists && x.get != nil {
		obj = x.get(x.from, obj)
	}
	return obj, exists, err
}

// ByIndex implements toolscache.Indexer.
func (x *skewedIndexer) ByIndex(index, value string) ([]any, error) {
	found, err := x.indexer.ByIndex(index, value)
	if x.list != nil {
		found = x.list(x.from, found)
	}
	return found, err
}

// ungated hides how far the cache has come.
type ungated struct{ *indexer }

// LastStoreSyncResourceVersion implements toolscache.Store.
func (*ungated) LastStoreSyncResourceVersion() string { return "" }

// takesForOwn shows Pods of other owners, for which ok holds, as the owner's.
func takesForOwn(ok func(*trs, *corev1.Pod) bool) func(*informer) toolscache.Indexer {
	return skewed(pods, nil, func(i *informer, found []any) []any {
		p := i.proc.pass
		if p == nil || p.owner == nil || len(found) > 0 && controllerUID(found[0].(*corev1.Pod)) == "" {
			return found
		}
		for _, obj := range sorted(i.store) {
			pod := obj.(*corev1.Pod)
			if ref := metav1.GetControllerOf(pod); ref == nil || ref.Kind != podtrailv1alpha1.Kind || ref.UID == p.owner.UID || !ok(p.owner, pod) {
				continue
			}
			i.proc.sawPods([]any{pod}, i.version())
			found = append(found, edited(pod, func(pod *corev1.Pod) { pod.OwnerReferences[0].UID = p.owner.UID }))
		}
		return found
	})
}

func forgetsExpectations(p *process, name string) {
	p.store.Forget(types.NamespacedName{Namespace: namespace, Name: name}, "")
}
