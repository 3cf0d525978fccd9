// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

const (
	// suffixAlphabet has no vowels, so that no suffix spells a word, and no characters that look alike. It is that of
	// k8s.io/apimachinery/pkg/util/rand.
	suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789"
	suffixLength   = 5
	// maxBaseLength keeps a Pod's name within the 63 characters of a host name, as the API server does for generateName.
	maxBaseLength = 63 - suffixLength - 1
	// maxSlots ends the search for a free name. No namespace can hold so many Pods.
	maxSlots = 1 << 20
)

// SlotName returns the name of the Pod in a slot of an owner: the owner's name and a suffix computed from its UID and
// the slot. It looks like a name that the API server generates, but every process computes the same one, so the API
// server refuses a repeated creation instead of carrying it out twice. No release may change the hash: one version can
// take over from another while the answer to a creation is outstanding.
func SlotName(ownerName string, ownerUID types.UID, slot int) string {
	base := ownerName
	if len(base) > maxBaseLength {
		base = strings.TrimRight(base[:maxBaseLength], "-.")
	}
	hash := sha256.Sum256([]byte(string(ownerUID) + "/" + strconv.Itoa(slot)))
	number := binary.BigEndian.Uint64(hash[:])
	suffix := make([]byte, suffixLength)
	for i := range suffix {
		suffix[i] = suffixAlphabet[number%uint64(len(suffixAlphabet))]
		number /= uint64(len(suffixAlphabet))
	}
	return base + "-" + string(suffix)
}

// FreeNames returns the names of the owner's first count slots that no Pod holds, in the order of the slots. A
// terminating or finished Pod still holds its name. Two slots of one owner may share a name, which is returned once.
// FreeNames returns fewer than count names only if more than a million slots are taken.
//
// The names in doubtful come first, if they are free: a Pod with such a name may exist without having been seen, and
// since it was created a lower slot may have become free.
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
