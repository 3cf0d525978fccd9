// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// Burst bounds the creations and the deletions of one pass. The next pass does the rest once these have been seen.
// Mirrors BurstReplicas in replica_set.go.
const Burst = 500

// Observation is everything that one pass knows. The objects belong to the cache and must not be modified.
type Observation struct {
	Owner    *podtrailv1alpha1.TeachingReplicaSet
	Selector labels.Selector
	// Pods holds the Pods whose controller is Owner, by UID, and the Pods of its namespace without a controller.
	Pods []*corev1.Pod
	// Related holds the Pods of all TeachingReplicaSets that have the same controller as Owner, Owner included; none if
	// Owner has no controller. They determine how crowded a node is.
	Related []*corev1.Pod
	// Pending is true while a write of an earlier pass has not been seen, so Pods may be incomplete.
	Pending bool
	// Doubtful holds the names of Pods that an earlier pass may have created: the API server's answers were lost.
	Doubtful []string
	// NameTaken reports whether a Pod of the namespace has the name, whoever owns it.
	NameTaken func(name string) bool
	Now       time.Time
}

// Hold is the reason why a plan neither creates nor deletes Pods, or empty if it may do so.
type Hold string

const (
	// HoldDeleted is the reason while the owner is being deleted: its Pods are left to the garbage collector.
	HoldDeleted Hold = "Deleted"
	// HoldPaused is the reason while spec.paused is set.
	HoldPaused Hold = "Paused"
	// HoldPending is the reason while earlier writes have not been seen.
	HoldPending Hold = "Pending"
)

// Plan is what one pass will do. At most one of Create and Delete is not empty.
type Plan struct {
	Hold    Hold
	Desired int
	Current int
	// Create holds the names of the Pods to create.
	Create []string
	// Delete holds the Pods to delete, first choice first.
	Delete []Deletion
}

// MakePlan compares the number of active Pods with the desired one. Mirrors the decisions of manageReplicas in
// replica_set.go, and the conditions under which syncReplicaSet calls it.
func MakePlan(o *Observation, active []*corev1.Pod) Plan {
	plan := Plan{Hold: hold(o), Desired: int(ptr.Deref(o.Owner.Spec.Replicas, 1)), Current: len(active)}
	if plan.Hold != "" {
		return plan
	}
	switch missing := plan.Desired - plan.Current; {
	case missing > 0:
		plan.Create = FreeNames(o.Owner, min(missing, Burst), o.NameTaken, o.Doubtful...)
	case missing < 0:
		plan.Delete = PodsToDelete(active, o.Related, min(-missing, Burst), o.Now)
	}
	return plan
}

func hold(o *Observation) Hold {
	switch {
	case o.Owner.DeletionTimestamp != nil:
		return HoldDeleted
	case o.Owner.Spec.Paused:
		return HoldPaused
	case o.Pending:
		return HoldPending
	default:
		return ""
	}
}
