// SPDX-License-Identifier: Apache-2.0

// Package expectations remembers what a controller wrote and has not yet seen in its cache, so that it does not act
// on a view of the world that lacks its own actions.
//
// It joins two mechanisms of Kubernetes. The first is UIDTrackingControllerExpectations in
// pkg/controller/controller_utils.go: the creations and deletions that the watch has still to show. Here each one is
// known by name or UID, where upstream counts creations. The second is ConsistencyStore in
// pkg/controller/util/consistency: the newest resourceVersion written, against the newest that the cache holds.
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

// Timeout is how long an expectation that nothing fulfils keeps its owner from acting. Mirrors ExpectationsTimeout in
// controller_utils.go.
const Timeout = 5 * time.Minute

// Owner is whose expectations they are. An object that is made again under the same name has another UID and starts
// without any.
type Owner struct {
	types.NamespacedName
	UID types.UID
}

// Resource tells apart the caches that are compared with what was written.
type Resource string

// Store holds the expectations of all owners. It is safe for concurrent use.
type Store struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	records map[types.NamespacedName]*record
}

type record struct {
	uid types.UID
	// creations maps the name of a Pod to the resourceVersion it was created at, empty until the reply is there.
	creations map[string]string
	deletions map[types.UID]struct{}
	since     time.Time
	// doubtful holds the names of Pods that may have been created: the answer was lost.
	doubtful map[string]struct{}
	// written holds the newest resourceVersion that was written, for each resource.
	written map[Resource]string
	// putOff says that the last pass could not be made, because a cache had not caught up.
	putOff bool
}

// New returns an empty store.
func New(c clock.PassiveClock) *Store {
	return &Store{clock: c, records: map[types.NamespacedName]*record{}}
}

// ExpectCreations says that Pods of these names are about to be created. What was expected before is forgotten.
func (s *Store) ExpectCreations(owner Owner, names []string) {
	s.expect(owner, names, nil)
}

// ExpectDeletions says that the Pods of these UIDs are about to be deleted. What was expected before is forgotten.
func (s *Store) ExpectDeletions(owner Owner, uids []types.UID) {
	s.expect(owner, nil, uids)
}

func (s *Store) expect(owner Owner, creations []string, deletions []types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.ensure(owner)
	r.since = s.clock.Now()
	r.creations = make(map[string]string, len(creations))
	for _, name := range creations {
		r.creations[name] = ""
	}
	r.deletions = make(map[types.UID]struct{}, len(deletions))
	for _, uid := range deletions {
		r.deletions[uid] = struct{}{}
	}
}

// Created says that the API server has answered: the Pod exists since resourceVersion. The expectation stays until
// the cache has come so far.
func (s *Store) Created(owner Owner, name string, pods Resource, resourceVersion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.ensure(owner)
	if _, waiting := r.creations[name]; waiting {
		r.creations[name] = resourceVersion
	}
	delete(r.doubtful, name)
	r.wrote(pods, resourceVersion)
}

// CreationFailed ends the wait for a creation that was not made, refused, or whose answer was lost. After a lost
// answer, or a later refusal, nobody knows whether the Pod exists until it is seen or created again under its name.
func (s *Store) CreationFailed(owner Owner, name string, answerLost bool) {
	s.observe(owner, func(r *record) {
		delete(r.creations, name)
		if !answerLost {
			return
		}
		if r.doubtful == nil {
			r.doubtful = map[string]struct{}{}
		}
		r.doubtful[name] = struct{}{}
	})
}

// Doubtful returns the names of the Pods that may have been created although nothing says so, sorted. To be asked
// before the Pods are listed, because a Pod that has been seen is doubtful no longer.
func (s *Store) Doubtful(owner Owner) (names []string) {
	s.observe(owner, func(r *record) { names = slices.Sorted(maps.Keys(r.doubtful)) })
	return names
}

// Wrote says that an object of the resource was written at resourceVersion.
func (s *Store) Wrote(owner Owner, resource Resource, resourceVersion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensure(owner).wrote(resource, resourceVersion)
}

// CreationObserved ends the wait for a creation that the watch has shown.
func (s *Store) CreationObserved(owner Owner, name string) {
	s.observe(owner, func(r *record) {
		delete(r.creations, name)
		delete(r.doubtful, name)
	})
}

// DeletionObserved ends the wait for a deletion: it was seen, or it will not happen. A deletion is seen once, be it
// as the deletionTimestamp, as the end of the object, or as both.
func (s *Store) DeletionObserved(owner Owner, uid types.UID) {
	s.observe(owner, func(r *record) { delete(r.deletions, uid) })
}

func (s *Store) observe(owner Owner, change func(*record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[owner.NamespacedName]; r != nil && r.uid == owner.UID {
		change(r)
	}
}

// Stale says that a cache has not yet seen what this process wrote.
type Stale struct {
	Resource Resource
	Written  string
	Read     string
}

// Error implements error.
func (e *Stale) Error() string {
	return fmt.Sprintf("the cache of %s is at resourceVersion %q and has yet to see %q, which this controller wrote",
		e.Resource, e.Read, e.Written)
}

// CaughtUp returns nil if every cache has seen all that was written for the owner of this name, or the first that has
// not. It goes by name, because the owner must not be read from its cache before that cache has caught up. read
// returns the newest resourceVersion of a cache, empty if it does not know; versions that cannot be compared do not
// keep an owner from acting. Creations that the API server confirmed are then expected no longer: their Pods are in
// the cache, or have been deleted since.
func (s *Store) CaughtUp(name types.NamespacedName, read func(Resource) string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[name]
	if r == nil {
		return nil
	}
	for resource, written := range r.written {
		current := read(resource)
		order, err := resourceversion.CompareResourceVersion(written, current)
		if current == "" || err != nil {
			continue
		}
		if order > 0 {
			r.putOff = true
			return &Stale{Resource: resource, Written: written, Read: current}
		}
	}
	maps.DeleteFunc(r.creations, func(_, resourceVersion string) bool { return resourceVersion != "" })
	r.written, r.putOff = nil, false
	return nil
}

// PutOff reports whether the last CaughtUp found that a cache had not, so that a pass waits for that cache.
func (s *Store) PutOff(name types.NamespacedName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[name]
	return r != nil && r.putOff
}

// Written is the newest resourceVersion of the resource that was written for the owner of this name and that CaughtUp
// has not yet found in the cache; empty if there is none.
func (s *Store) Written(name types.NamespacedName, resource Resource) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[name]; r != nil {
		return r.written[resource]
	}
	return ""
}

// Satisfied reports whether the owner may act: nothing is expected any more, or has been for longer than Timeout.
func (s *Store) Satisfied(owner Owner) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[owner.NamespacedName]
	if r == nil || r.uid != owner.UID || len(r.creations)+len(r.deletions) == 0 {
		return true
	}
	return s.clock.Since(r.since) > Timeout
}

// Waiting returns the names and the UIDs that are still expected, sorted.
func (s *Store) Waiting(owner Owner) (creations []string, deletions []types.UID) {
	s.observe(owner, func(r *record) {
		creations = slices.Sorted(maps.Keys(r.creations))
		deletions = slices.Sorted(maps.Keys(r.deletions))
	})
	return creations, deletions
}

// Forget drops everything about the owner of this name, unless uid is given and is not its UID.
func (s *Store) Forget(name types.NamespacedName, uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[name]; r != nil && (uid == "" || r.uid == uid) {
		delete(s.records, name)
	}
}

// Len is the number of owners that the store remembers.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

func (s *Store) ensure(owner Owner) *record {
	r := s.records[owner.NamespacedName]
	if r == nil || r.uid != owner.UID {
		r = &record{uid: owner.UID}
		s.records[owner.NamespacedName] = r
	}
	return r
}

func (r *record) wrote(resource Resource, resourceVersion string) {
	if r.written == nil {
		r.written = map[Resource]string{}
	}
	order, err := resourceversion.CompareResourceVersion(r.written[resource], resourceVersion)
	if err == nil && order >= 0 {
		return
	}
	r.written[resource] = resourceVersion
}
