// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// beforeBeginning is how much earlier than its creation evidence of an object is looked for: the API server writes whole
// seconds, and a request begins before what it makes. The rest is for nodes whose clocks differ.
const beforeBeginning = 2 * time.Minute

// beginning is the time before which nothing can have happened to an object, to its owners and to what they own: shortly
// before the oldest of them was created. Adopted Pods can be older than their owner. The zero time stands for always: the
// object is not among the living ones, or one of its owners is not, whose creation is then unknown.
func beginning(live []metav1.PartialObjectMetadata, kind, name string) time.Time {
	byUID := make(map[types.UID]*metav1.PartialObjectMetadata, len(live))
	owned := map[types.UID][]*metav1.PartialObjectMetadata{}
	var next []*metav1.PartialObjectMetadata
	for i := range live {
		object := &live[i]
		byUID[object.UID] = object
		for _, owner := range object.OwnerReferences {
			owned[owner.UID] = append(owned[owner.UID], object)
		}
		if object.Kind == kind && object.Name == name {
			next = append(next, object)
		}
	}
	var oldest time.Time
	seen := map[types.UID]bool{}
	for len(next) > 0 {
		object := next[0]
		next = next[1:]
		if seen[object.UID] {
			continue
		}
		seen[object.UID] = true
		if created := object.CreationTimestamp.Time; oldest.IsZero() || created.Before(oldest) {
			oldest = created
		}
		for _, owner := range object.OwnerReferences {
			if byUID[owner.UID] == nil {
				return time.Time{}
			}
			next = append(next, byUID[owner.UID])
		}
		next = slices.Concat(next, owned[object.UID])
	}
	if oldest.IsZero() {
		return time.Time{}
	}
	return oldest.Add(-beforeBeginning)
}
