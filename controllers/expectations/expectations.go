// SPDX-License-Identifier: Apache-2.0

// Package expectations remembers the writes of a controller that its cache does not show yet, so that the controller
// does not act on a state that lacks its own actions.
//
// It combines two mechanisms of Kubernetes. The first is UIDTrackingControllerExpectations in
// pkg/controller/controller_utils.go: the creations and deletions that the watch has yet to show. Here each creation is
// known by its name, where upstream counts them. The second is ConsistencyStore in pkg/controller/util/consistency: the
// newest resourceVersion written, compared with the newest that the cache has seen.
package expectations

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
)

// Timeout is how long an unfulfilled expectation keeps its owner from acting. Mirrors ExpectationsTimeout in
// controller_utils.go.
const Timeout = 5 * time.Minute

// Owner identifies whose expectations they are. A recreated object with the same name has another UID and starts
// without expectations.
type Owner struct {
	types.NamespacedName
	UID types.UID
}

// Resource identifies one of the caches that are compared with the writes.
type Resource string

// Store holds the expectations of all owners. It is safe for concurrent use.
type Store struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	owners map[types.NamespacedName]*owned
}

// owned is what is remembered about one owner.
type owned struct {
	uid types.UID
	// creations maps the name of a Pod to the resourceVersion at which it was created, or "" until the reply arrives.
	creations map[string]string
	deletions map[types.UID]struct{}
	since     time.Time
	// doubtful holds the names of Pods that may have been created: the API server's answers were lost.
	doubtful map[string]struct{}
	// written holds the newest resourceVersion written, for each resource.
	written map[Resource]string
	// putOff is true if the last pass was skipped because a cache had not caught up.
	putOff bool
}

// New returns an empty store.
func New(c clock.PassiveClock) *Store {
	return &Store{clock: c, owners: map[types.NamespacedName]*owned{}}
}

// ExpectCreations records that Pods with these names are about to be created. It replaces all earlier expectations.
func (s *Store) ExpectCreations(owner Owner, names []string) {
	s.expect(owner, names, nil)
}

// ExpectDeletions records that the Pods with these UIDs are about to be deleted. It replaces all earlier expectations.
func (s *Store) ExpectDeletions(owner Owner, uids []types.UID) {
	s.expect(owner, nil, uids)
}

func (s *Store) expect(owner Owner, creations []string, deletions []types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ensure(owner)
	o.since = s.clock.Now()
	o.creations = make(map[string]string, len(creations))
	for _, name := range creations {
		o.creations[name] = ""
	}
	o.deletions = make(map[types.UID]struct{}, len(deletions))
	for _, uid := range deletions {
		o.deletions[uid] = struct{}{}
	}
}

// Created records that the API server confirmed a creation at resourceVersion. The creation is expected until the cache
// has reached that version.
func (s *Store) Created(owner Owner, name string, pods Resource, resourceVersion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ensure(owner)
	if _, waiting := o.creations[name]; waiting {
		o.creations[name] = resourceVersion
	}
	delete(o.doubtful, name)
	o.wrote(pods, resourceVersion)
}

// CreationFailed ends the wait for a creation that was not sent, was refused, or whose answer was lost. If the answer
// was lost, also if a later attempt was refused, it is unknown whether the Pod exists until the Pod is seen, or created
// under the same name.
func (s *Store) CreationFailed(owner Owner, name string, answerLost bool) {
	s.observe(owner, func(o *owned) {
		delete(o.creations, name)
		if !answerLost {
			return
		}
		if o.doubtful == nil {
			o.doubtful = map[string]struct{}{}
		}
		o.doubtful[name] = struct{}{}
	})
}

// Doubtful returns the names of the Pods that may have been created although nothing has confirmed it, sorted. Call it
// before listing the Pods: once a Pod has been seen, its name is no longer doubtful.
func (s *Store) Doubtful(owner Owner) (names []string) {
	s.observe(owner, func(o *owned) { names = slices.Sorted(maps.Keys(o.doubtful)) })
	return names
}

// Wrote records that an object of the resource was written at resourceVersion.
func (s *Store) Wrote(owner Owner, resource Resource, resourceVersion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensure(owner).wrote(resource, resourceVersion)
}

// CreationObserved ends the wait for a creation, because the watch has shown it.
func (s *Store) CreationObserved(owner Owner, name string) {
	s.observe(owner, func(o *owned) {
		delete(o.creations, name)
		delete(o.doubtful, name)
	})
}

// DeletionObserved ends the wait for a deletion: the watch has shown it, or it will not happen. It may be called twice
// for one deletion, for the deletionTimestamp and for the end of the object.
func (s *Store) DeletionObserved(owner Owner, uid types.UID) {
	s.observe(owner, func(o *owned) { delete(o.deletions, uid) })
}

func (s *Store) observe(owner Owner, change func(*owned)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.owners[owner.NamespacedName]; o != nil && o.uid == owner.UID {
		change(o)
	}
}

// Stale reports that a cache does not show a write of this process yet.
type Stale struct {
	Resource Resource
	Written  string
	Read     string
}

// Error implements error.
func (e *Stale) Error() string {
	return fmt.Sprintf("the cache of %s is at resourceVersion %q and has yet to reach %q, which this controller wrote",
		e.Resource, e.Read, e.Written)
}

// CaughtUp returns nil if every cache has seen all writes for the owner with this name, or a *Stale for one that has
// not. It takes a name because the owner must not be read from its cache before that cache has caught up. read returns
// the newest resourceVersion of a cache, or "" if it is unknown; versions that cannot be compared do not keep an owner
// from acting. If CaughtUp returns nil, it ends the wait for the creations that the API server confirmed: their Pods
// are in the cache, or were deleted since.
func (s *Store) CaughtUp(name types.NamespacedName, read func(Resource) string) *Stale {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.owners[name]
	if o == nil {
		return nil
	}
	for resource, written := range o.written {
		current := read(resource)
		order, err := resourceversion.CompareResourceVersion(written, current)
		if current == "" || err != nil {
			continue
		}
		if order > 0 {
			o.putOff = true
			return &Stale{Resource: resource, Written: written, Read: current}
		}
	}
	maps.DeleteFunc(o.creations, func(_, resourceVersion string) bool { return resourceVersion != "" })
	o.written, o.putOff = nil, false
	return nil
}

// PutOff reports whether the last CaughtUp returned a *Stale, so that a pass waits for that cache.
func (s *Store) PutOff(name types.NamespacedName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.owners[name]
	return o != nil && o.putOff
}

// Written returns the newest resourceVersion of the resource that was written for the owner with this name and that
// CaughtUp has not found in the cache yet, or "" if there is none.
func (s *Store) Written(name types.NamespacedName, resource Resource) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.owners[name]; o != nil {
		return o.written[resource]
	}
	return ""
}

// Satisfied reports whether the owner may act: nothing is expected, or the expectations are older than Timeout. Mirrors
// SatisfiedExpectations in controller_utils.go.
func (s *Store) Satisfied(owner Owner) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.owners[owner.NamespacedName]
	if o == nil || o.uid != owner.UID || len(o.creations)+len(o.deletions) == 0 {
		return true
	}
	return s.clock.Since(o.since) > Timeout
}

// Waiting returns the names and the UIDs that are still expected, both sorted.
func (s *Store) Waiting(owner Owner) (creations []string, deletions []types.UID) {
	s.observe(owner, func(o *owned) {
		creations = slices.Sorted(maps.Keys(o.creations))
		deletions = slices.Sorted(maps.Keys(o.deletions))
	})
	return creations, deletions
}

// Forget drops everything about the owner with this name. If uid is not empty, it does so only if the owner has that
// UID.
func (s *Store) Forget(name types.NamespacedName, uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.owners[name]; o != nil && (uid == "" || o.uid == uid) {
		delete(s.owners, name)
	}
}

// Len returns the number of owners that the store remembers.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.owners)
}

func (s *Store) ensure(owner Owner) *owned {
	o := s.owners[owner.NamespacedName]
	if o == nil || o.uid != owner.UID {
		o = &owned{uid: owner.UID}
		s.owners[owner.NamespacedName] = o
	}
	return o
}

func (o *owned) wrote(resource Resource, resourceVersion string) {
	if o.written == nil {
		o.written = map[Resource]string{}
	}
	order, err := resourceversion.CompareResourceVersion(o.written[resource], resourceVersion)
	if err == nil && order >= 0 {
		return
	}
	o.written[resource] = resourceVersion
}
