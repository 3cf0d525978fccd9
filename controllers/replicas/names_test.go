// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/types"

	"podtrail.dev/podtrail/test/wrappers"
)

func TestSlotName(t *testing.T) {
	owners := map[string]string{
		"short":                       "web",
		"with dots":                   "web.v1",
		"cut in a run of separators":  strings.Repeat("a", maxBaseLength-3) + "-.-b",
		"as long as an object's name": strings.Repeat("a", 253),
	}
	for name, owner := range owners {
		t.Run(name, func(t *testing.T) {
			got := SlotName(owner, "uid", 7)
			if errs := validation.NameIsDNSSubdomain(got, false); len(errs) > 0 || len(got) > 63 {
				t.Errorf("%q (%d characters) is not a valid name for a Pod and a host: %v", got, len(got), errs)
			}
			if again := SlotName(owner, "uid", 7); again != got {
				t.Errorf("The same slot is once %q and once %q", got, again)
			}
		})
	}
}

// TestSlotNameStaysTheSame holds the names against those of earlier versions: one that computes others could make Pods
// twice while it takes over.
func TestSlotNameStaysTheSame(t *testing.T) {
	for slot, want := range map[int]string{0: "web-vmkvb", 1: "web-jrs2r", 4711: "web-ndhgw"} {
		if got := SlotName("web", "7c9e6679-7425-40de-944b-e07fc1f90ae7", slot); got != want {
			t.Errorf("Slot %d is %q, want %q", slot, got, want)
		}
	}
}

// TestSlotNamesDiffer checks that names seldom collide, between slots and between owners of one name. With 27^5
// suffixes a thousand slots are expected to share a name in 0.03 cases; more than 3 mean that the hash is bad.
func TestSlotNamesDiffer(t *testing.T) {
	const slots = 1000
	for _, uids := range [][]types.UID{{"7c9e6679-7425-40de-944b-e07fc1f90ae7"}, {"uid-a", "uid-b"}} {
		seen := map[string]bool{}
		for _, uid := range uids {
			for slot := range slots {
				seen[SlotName("web", uid, slot)] = true
			}
		}
		if want := slots*len(uids) - 3; len(seen) < want {
			t.Errorf("%v: %d names for %d slots", uids, len(seen), slots*len(uids))
		}
	}
}

func TestFreeNames(t *testing.T) {
	owner := wrappers.MakeTeachingReplicaSet("ns", "web").UID("uid").Obj()
	slot := func(i int) string { return SlotName("web", "uid", i) }
	tests := map[string]struct {
		count int
		taken []string
		want  []string
	}{
		"none wanted":              {count: 0, want: []string{}},
		"the first ones":           {count: 2, want: []string{slot(0), slot(1)}},
		"around those taken":       {count: 2, taken: []string{slot(0), slot(2)}, want: []string{slot(1), slot(3)}},
		"other names do not count": {count: 1, taken: []string{"web-aaaaa"}, want: []string{slot(0)}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := FreeNames(owner, tc.count, func(name string) bool { return slices.Contains(tc.taken, name) })
			if !slices.Equal(got, tc.want) {
				t.Errorf("Got %v, want %v", got, tc.want)
			}
		})
	}
}

// TestFreeNamesEnds checks that a namespace in which every name is taken does not keep the controller searching.
func TestFreeNamesEnds(t *testing.T) {
	owner := wrappers.MakeTeachingReplicaSet("ns", "web").UID("uid").Obj()
	if got := FreeNames(owner, 1, func(string) bool { return true }); len(got) != 0 {
		t.Errorf("Got %v, want none", got)
	}
}
