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
// repeated creation is refused by the API server and not carried out twice. Two versions of this controller must compute
// the same names too, because one may follow the other while the answer to a creation is outstanding: no release may
// change the hash.
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
