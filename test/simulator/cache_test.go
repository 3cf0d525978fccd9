// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"context"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/controllers"
)

// notification is what an informer has yet to pass to its handler.
type notification struct {
	old, updated client.Object
	initial      bool
	// tombstone reports that the removal itself was not seen.
	tombstone bool
}

// informer is the part of a SharedIndexInformer that the controller uses. The scheduler feeds its store from the
// server's history and hands its notifications to the handler, each when it likes: as in client-go, the store is
// ahead of the handler.
type informer struct {
	toolscache.SharedIndexInformer

	proc     *process
	resource resource
	indexers toolscache.Indexers
	store    map[string]client.Object
	// next is the first entry of the watch that the store has not seen; ahead holds later ones that it has, which
	// happens only where Pods may overtake each other.
	next     int
	ahead    map[int]bool
	handler  toolscache.ResourceEventHandler
	pending  []notification
	cut      bool
	trim     toolscache.TransformFunc
	reported toolscache.Indexer
}

func newInformer(proc *process, r resource) *informer {
	i := &informer{proc: proc, resource: r, indexers: toolscache.Indexers{}, trim: func(obj any) (any, error) { return obj, nil }}
	if r == pods {
		for obj, options := range controllers.CacheByObject() {
			if _, isPod := obj.(*corev1.Pod); isPod && options.Transform != nil {
				i.trim = options.Transform
			}
		}
	}
	i.indexers[toolscache.NamespaceIndex] = toolscache.MetaNamespaceIndexFunc
	i.relist(len(proc.world.server.watch[r]))
	i.pending = nil
	i.reported = &indexer{from: i}
	if wrap := proc.world.mutant.indexer; wrap != nil {
		i.reported = wrap(i)
	}
	return i
}

// version is the newest resourceVersion up to which the store has seen everything.
func (i *informer) version() uint64 {
	if i.next == 0 {
		return 0
	}
	return i.proc.world.server.watch[i.resource][i.next-1].version
}

func (i *informer) lag() int { return len(i.proc.world.server.watch[i.resource]) - i.next }

// deliver takes one event of the watch into the store: the oldest, or, where objects may overtake each other, the
// oldest of some object.
func (i *informer) deliver(skip int) *change {
	watch := i.proc.world.server.watch[i.resource]
	chosen := i.next
	blocked := map[string]bool{}
	for n := i.next; n < len(watch) && skip > 0; n++ {
		if !i.ahead[n] && !blocked[watch[n].name] {
			chosen = n
			skip--
		}
		blocked[watch[n].name] = true
	}
	c := watch[chosen]
	if i.ahead == nil {
		i.ahead = map[int]bool{}
	}
	i.ahead[chosen] = true
	for i.ahead[i.next] {
		delete(i.ahead, i.next)
		i.next++
	}
	i.set(c.name, c.updated, false)
	return c
}

// set brings one object of the store to a state and notes what the handler has to hear.
func (i *informer) set(name string, updated client.Object, tombstone bool) {
	old := i.store[name]
	if updated == nil {
		delete(i.store, name)
	} else {
		updated = i.trimmed(updated)
		i.store[name] = updated
	}
	if old != nil || updated != nil {
		i.pending = append(i.pending, notification{old: old, updated: updated, tombstone: tombstone})
	}
}

func (i *informer) trimmed(obj client.Object) client.Object {
	trimmed, err := i.trim(obj.DeepCopyObject())
	if err != nil {
		panic(err)
	}
	return trimmed.(client.Object)
}

// relist replaces the store by the state after the first upTo entries of the watch, as a reflector does after a watch
// was cut for too long. It passes on everything that is left as an update, and what is gone as a tombstone.
func (i *informer) relist(upTo int) {
	state := map[string]client.Object{}
	for _, c := range i.proc.world.server.watch[i.resource][:upTo] {
		if c.updated == nil {
			delete(state, c.name)
		} else {
			state[c.name] = c.updated
		}
	}
	if i.store == nil {
		i.store = map[string]client.Object{}
	}
	for _, name := range slices.Sorted(maps.Keys(state)) {
		i.set(name, state[name], false)
	}
	for _, name := range slices.Sorted(maps.Keys(i.store)) {
		if state[name] == nil {
			i.set(name, nil, true)
		}
	}
	i.next, i.ahead, i.cut = upTo, nil, false
}

// notify passes the oldest pending notification to the handler.
func (i *informer) notify() {
	n := i.pending[0]
	i.pending = i.pending[1:]
	if drop := i.proc.world.mutant.deaf; drop != nil && drop(i.resource, n) {
		return
	}
	switch {
	case n.old == nil:
		i.handler.OnAdd(n.updated, n.initial)
	case n.updated != nil:
		i.handler.OnUpdate(n.old, n.updated)
	case n.tombstone:
		i.handler.OnDelete(toolscache.DeletedFinalStateUnknown{Key: namespace + "/" + n.old.GetName(), Obj: n.old})
	default:
		i.handler.OnDelete(n.old)
	}
}

// AddIndexers implements toolscache.SharedIndexInformer.
func (i *informer) AddIndexers(indexers toolscache.Indexers) error {
	maps.Copy(i.indexers, indexers)
	return nil
}

// GetIndexer implements toolscache.SharedIndexInformer.
func (i *informer) GetIndexer() toolscache.Indexer { return i.reported }

// AddEventHandlerWithOptions implements toolscache.SharedIndexInformer. The initial additions follow once the
// controller has started.
func (i *informer) AddEventHandlerWithOptions(handler toolscache.ResourceEventHandler, _ toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	i.handler = handler
	return registered{}, nil
}

type registered struct {
	toolscache.ResourceEventHandlerRegistration
}

func (registered) HasSynced() bool { return true }

// indexer is the informer's store as the controller reads it. Lists come in a random order, as those of client-go do.
type indexer struct {
	toolscache.Indexer
	from *informer
}

// GetByKey implements toolscache.Store.
func (x *indexer) GetByKey(key string) (any, bool, error) {
	i, name := x.from, key[len(namespace)+1:]
	if i.resource == pods {
		i.proc.pause("look for " + name)
	}
	obj, exists := i.store[name]
	if owner, isOwner := obj.(*trs); isOwner {
		i.proc.sawOwner(owner, i.version())
	}
	return obj, exists, nil
}

// ByIndex implements toolscache.Indexer.
func (x *indexer) ByIndex(index, value string) ([]any, error) {
	i := x.from
	if i.resource == pods {
		i.proc.pause("list " + value)
	}
	var found []any
	for _, name := range slices.Sorted(maps.Keys(i.store)) {
		keys, err := i.indexers[index](i.store[name])
		if err != nil {
			return nil, err
		}
		if slices.Contains(keys, value) {
			found = append(found, i.store[name])
		}
	}
	i.proc.world.random.Shuffle(len(found), func(a, b int) { found[a], found[b] = found[b], found[a] })
	if i.resource == pods {
		i.proc.sawPods(found, i.version())
	}
	return found, nil
}

// LastStoreSyncResourceVersion implements toolscache.Store. It is never 0, which no API server answers to a list and
// which cannot be compared.
func (x *indexer) LastStoreSyncResourceVersion() string {
	return strconv.FormatUint(max(x.from.version(), 1), 10)
}

// caches is the manager's cache.
type caches struct {
	cache.Cache
	proc *process
}

// GetInformer implements cache.Informers.
func (c *caches) GetInformer(_ context.Context, obj client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	if _, isPod := obj.(*corev1.Pod); isPod {
		return c.proc.informers[pods], nil
	}
	return c.proc.informers[owners], nil
}

// WaitForCacheSync implements cache.Informers.
func (c *caches) WaitForCacheSync(context.Context) bool { return true }
