// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"hash/fnv"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

const (
	// suffixAlphabet leaves out vowels and characters that look alike, as k8s.io/apimachinery/pkg/util/rand does, so
	// that no suffix spells a word.
	suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789"
	suffixLength   = 5
	// maxBaseLength keeps a Pod's name within a host name's 63 characters, as the API server does for generateName.
	maxBaseLength = 63 - suffixLength - 1
	// maxSlots ends the search for a free name. It is above the number of Pods that one namespace can hold.
	maxSlots = 1 << 20
)

// SlotName is the name of the Pod in the given slot of an owner: the owner's name and a suffix made from its UID and
// the slot. It looks like one of the API server's generated names, but whoever computes it gets the same one, so a
// repeated creation is refused by the API server and not carried out twice.
func SlotName(ownerName string, ownerUID types.UID, slot int) string {
	base := ownerName
	if len(base) > maxBaseLength {
		base = strings.TrimRight(base[:maxBaseLength], "-.")
	}
	hash := fnv.New64a()
	// A hash never fails to write.
	_, _ = hash.Write([]byte(string(ownerUID) + "/" + strconv.Itoa(slot)))
	sum := mix(hash.Sum64())
	suffix := make([]byte, suffixLength)
	for i := range suffix {
		suffix[i] = suffixAlphabet[sum%uint64(len(suffixAlphabet))]
		sum /= uint64(len(suffixAlphabet))
	}
	return base + "-" + string(suffix)
}

// mix spreads the hash's bits (the finaliser of splitmix64), because FNV changes the low ones little for inputs that
// differ in the last characters only.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// FreeNames returns the names of the owner's first count slots that no Pod holds, in the order of the slots. A Pod
// that is terminating or finished still holds its name. Two slots of one owner may share a name; it is given out
// once. Fewer than count are returned only if more than a million slots are taken.
//
// The names in doubtful come first, if they are free: a Pod of such a name may exist and not have been seen, and a
// slot before its own may have become free since it was tried.
func FreeNames(owner *podtrailv1alpha1.TeachingReplicaSet, count int, taken func(name string) bool, doubtful ...string) []string {
	names := make([]string, 0, count)
	given := make(map[string]struct{}, count)
	give := func(name string) {
		if _, twice := given[name]; !twice && len(names) < count && !taken(name) {
			given[name] = struct{}{}
			names = append(names, name)
		}
	}
	for _, name := range doubtful {
		give(name)
	}
	for slot := 0; len(names) < count && slot < maxSlots; slot++ {
		give(SlotName(owner.Name, owner.UID, slot))
	}
	return names
}
