// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
)

// beforeBeginning is how much earlier than its creation evidence of an object is looked for: the API server writes whole
// seconds, and a request begins before what it makes. The rest is for nodes whose clocks differ.
const beforeBeginning = 2 * time.Minute

// scope is what is read. What it leaves out cannot be about the object that was asked for.
type scope struct {
	namespace string
	// pod is the only Pod to read about; empty for all.
	pod string
	// since is when it begins; zero for all that is kept.
	since time.Time
	// node is the only node whose kubelet can have had the Pod; empty for all.
	node string
	// defaultScheduler says that the one Pod is for Kubernetes' own scheduler, and so not for podtrail's.
	defaultScheduler bool
	// builtIn says that all controllers which made the objects are Kubernetes' own, and podtrail's manager none of them.
	builtIn bool
}

// wants says whether a keeper can hold something of it.
func (s scope) wants(part kept) bool {
	switch {
	case part.component == "manager":
		return !s.builtIn
	case part.component == scheduler.component:
		return !s.defaultScheduler
	case part.component == "recorder" && part.pod.Labels[recorderLabel] == recorderOfNode:
		return s.node == "" || part.pod.Spec.NodeName == s.node
	}
	return true
}

// eventsAbout are the selectors that together choose the events of the scope: about all objects, or about all but other
// Pods.
func (s scope) eventsAbout() []fields.Selector {
	if s.pod == "" {
		return []fields.Selector{fields.Everything()}
	}
	return []fields.Selector{
		fields.OneTermNotEqualSelector("involvedObject.kind", "Pod"),
		fields.Set{"involvedObject.kind": "Pod", "involvedObject.name": s.pod}.AsSelector(),
	}
}

// tells says whether an event can be about the scope: one that was seen last before it begins cannot.
func (s scope) tells(event *corev1.Event) bool {
	last := event.CreationTimestamp.Time
	times := []time.Time{event.EventTime.Time, event.FirstTimestamp.Time, event.LastTimestamp.Time}
	if event.Series != nil {
		times = append(times, event.Series.LastObservedTime.Time)
	}
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last.IsZero() || !last.Before(s.since)
}

// liveObject is what decides how far a scope goes.
type liveObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		NodeName      string `json:"nodeName"`
		SchedulerName string `json:"schedulerName"`
	} `json:"spec"`
}

// narrow narrows the scope to an object, its owners and what they own. It begins shortly before the oldest of them was
// created; adopted Pods can be older than their owner. Nothing is narrowed if that family is not whole.
func (s scope) narrow(live []liveObject, kind, name string) scope {
	members, whole := family(live, kind, name)
	if !whole {
		return s
	}
	if s.pod != "" {
		s.node, s.defaultScheduler = members[0].Spec.NodeName, members[0].Spec.SchedulerName == corev1.DefaultSchedulerName
	}
	s.builtIn = true
	oldest := members[0].CreationTimestamp.Time
	for _, member := range members {
		if created := member.CreationTimestamp.Time; created.Before(oldest) {
			oldest = created
		}
		s.builtIn = s.builtIn && member.Kind != "TeachingReplicaSet"
	}
	s.since = oldest.Add(-beforeBeginning)
	return s
}

// family is an object, which comes first, with its owners and all that they own. It is not whole if the object is not among
// the living ones, if an owner is not, or if a Pod or a ReplicaSet has none: it may have had one, which let go of it or was
// deleted without it, and its way began there.
func family(live []liveObject, kind, name string) (members []*liveObject, whole bool) {
	byUID := make(map[types.UID]*liveObject, len(live))
	owned := map[types.UID][]*liveObject{}
	var next []*liveObject
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
	seen := map[types.UID]bool{}
	for len(next) > 0 {
		object := next[0]
		next = next[1:]
		if seen[object.UID] {
			continue
		}
		seen[object.UID] = true
		members = append(members, object)
		if len(object.OwnerReferences) == 0 && (object.Kind == "Pod" || object.Kind == "ReplicaSet") {
			return nil, false
		}
		for _, owner := range object.OwnerReferences {
			if byUID[owner.UID] == nil {
				return nil, false
			}
			next = append(next, byUID[owner.UID])
		}
		next = slices.Concat(next, owned[object.UID])
	}
	return members, len(members) > 0
}
