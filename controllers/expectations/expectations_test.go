// SPDX-License-Identifier: Apache-2.0

package expectations

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

const pods, owners Resource = "pods", "owners"

var (
	name   = types.NamespacedName{Namespace: "ns", Name: "web"}
	first  = Owner{NamespacedName: name, UID: "first"}
	second = Owner{NamespacedName: name, UID: "second"}
)

func reading(versions map[Resource]string) func(Resource) string {
	return func(r Resource) string { return versions[r] }
}

func TestSatisfied(t *testing.T) {
	tests := map[string]struct {
		do   func(*Store, *clocktesting.FakeClock)
		want bool
	}{
		"nothing expected": {do: func(*Store, *clocktesting.FakeClock) {}, want: true},
		"a creation expected": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a"})
		}},
		"a creation seen": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a"})
			s.CreationObserved(first, "a")
		}, want: true},
		"another Pod's creation seen": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a"})
			s.CreationObserved(first, "b")
		}},
		"one creation seen twice": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a", "b"})
			s.CreationObserved(first, "a")
			s.CreationObserved(first, "a")
		}},
		"one deletion seen twice": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectDeletions(first, []types.UID{"a", "b"})
			s.DeletionObserved(first, "a")
			s.DeletionObserved(first, "a")
		}},
		"both deletions seen": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectDeletions(first, []types.UID{"a", "b"})
			s.DeletionObserved(first, "b")
			s.DeletionObserved(first, "a")
		}, want: true},
		"seen for another object of that name": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a"})
			s.CreationObserved(second, "a")
		}},
		"expected by an earlier object of that name": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(second, []string{"a"})
		}, want: true},
		"about to time out": {do: func(s *Store, c *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a"})
			c.Step(Timeout)
		}},
		"timed out": {do: func(s *Store, c *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a"})
			c.Step(Timeout + time.Nanosecond)
		}, want: true},
		"forgotten": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a"})
			s.Forget(name, "")
		}, want: true},
		"forgotten for another UID": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a"})
			s.Forget(name, second.UID)
		}},
		"confirmed and the cache has come so far": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a"})
			s.Created(first, "a", pods, "10")
			_ = s.CaughtUp(name, reading(map[Resource]string{pods: "10"}))
		}, want: true},
		"unconfirmed, whatever the cache says": {do: func(s *Store, _ *clocktesting.FakeClock) {
			s.ExpectCreations(first, []string{"a", "b"})
			s.Created(first, "a", pods, "10")
			_ = s.CaughtUp(name, reading(map[Resource]string{pods: "99"}))
		}},
	}
	for title, tc := range tests {
		t.Run(title, func(t *testing.T) {
			c := clocktesting.NewFakeClock(time.Now())
			s := New(c)
			tc.do(s, c)
			if got := s.Satisfied(first); got != tc.want {
				creations, deletions := s.Waiting(first)
				t.Errorf("Satisfied is %v, want %v; waiting for %v and %v", got, tc.want, creations, deletions)
			}
		})
	}
}

// TestCaughtUp carries the cases of upstream's TestConsistencyStore_IsReady, TestOwnerRecord_IsReady and _WroteAt.
func TestCaughtUp(t *testing.T) {
	type write struct {
		owner    Owner
		resource Resource
		version  string
	}
	tests := map[string]struct {
		writes []write
		read   map[Resource]string
		want   *Stale
	}{
		"nothing written":            {read: map[Resource]string{pods: "1"}},
		"cache behind":               {writes: []write{{first, pods, "10"}}, read: map[Resource]string{pods: "9"}, want: &Stale{pods, "10", "9"}},
		"cache level":                {writes: []write{{first, pods, "10"}}, read: map[Resource]string{pods: "10"}},
		"cache ahead":                {writes: []write{{first, pods, "10"}}, read: map[Resource]string{pods: "100"}},
		"the newest write counts":    {writes: []write{{first, pods, "10"}, {first, pods, "9"}}, read: map[Resource]string{pods: "9"}, want: &Stale{pods, "10", "9"}},
		"another cache behind":       {writes: []write{{first, pods, "10"}, {first, owners, "12"}}, read: map[Resource]string{pods: "10", owners: "11"}, want: &Stale{owners, "12", "11"}},
		"an earlier object's writes": {writes: []write{{second, pods, "10"}}, read: map[Resource]string{pods: "9"}, want: &Stale{pods, "10", "9"}},
		"replaced by another object": {writes: []write{{first, pods, "10"}, {second, pods, "1"}}, read: map[Resource]string{pods: "9"}},
		"the cache does not know":    {writes: []write{{first, pods, "10"}}, read: map[Resource]string{}},
		"versions that do not compare": {
			writes: []write{{first, pods, "opaque"}}, read: map[Resource]string{pods: "9"},
		},
	}
	for title, tc := range tests {
		t.Run(title, func(t *testing.T) {
			s := New(clocktesting.NewFakeClock(time.Now()))
			for _, w := range tc.writes {
				s.Wrote(w.owner, w.resource, w.version)
			}
			got := s.CaughtUp(name, reading(tc.read))
			if !cmp.Equal(got, tc.want) {
				t.Errorf("Stale differs (-want +got):\n%s", cmp.Diff(tc.want, got))
			}
		})
	}
}

// TestNothingLeaks checks that the store is empty when all owners are gone.
func TestNothingLeaks(t *testing.T) {
	s := New(clocktesting.NewFakeClock(time.Now()))
	for i := range 100 {
		owner := Owner{NamespacedName: types.NamespacedName{Name: fmt.Sprint(i)}, UID: types.UID(fmt.Sprint(i))}
		s.ExpectCreations(owner, []string{"a"})
		s.Created(owner, "a", pods, "1")
		s.CreationObserved(Owner{NamespacedName: types.NamespacedName{Name: "unknown"}}, "a")
		s.Forget(owner.NamespacedName, owner.UID)
	}
	if got := s.Len(); got != 0 {
		t.Errorf("The store remembers %d owners, want none", got)
	}
}

// TestConcurrent is for the race detector, and carries upstream's TestConsistencyStore_EnsureWrittenRecord_Concurrent.
func TestConcurrent(t *testing.T) {
	s := New(clocktesting.NewFakeClock(time.Now()))
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			pod := fmt.Sprint(i)
			s.Created(first, pod, pods, fmt.Sprint(i+1))
			s.CreationObserved(first, pod)
			_ = s.Satisfied(first)
		})
	}
	wait.Wait()
	if stale := s.CaughtUp(name, reading(map[Resource]string{pods: "15"})); stale == nil || stale.Written != "16" {
		t.Errorf("Got %v, want the newest write, 16", stale)
	}
}
