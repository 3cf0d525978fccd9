// SPDX-License-Identifier: Apache-2.0

package trail

import "time"

// Names of the evidence's sources, as in Evidence.Source.
const (
	SourceAudit  = "audit"
	SourceObject = "object"
	SourceEvent  = "event"
)

// Subject is the identity of an object. A name can be used again, a UID can't: an empty UID means that the evidence
// names no object that was stored.
type Subject struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
}

// String gives kind and name as kubectl writes them, for example "Pod web-x7k2p".
func (s Subject) String() string { return s.Kind + " " + s.Name }

// named is the subject without its UID, to compare names.
func (s Subject) named() Subject {
	s.UID = ""
	return s
}

// Evidence says where a fact comes from, so that a reader can look it up.
type Evidence struct {
	// Source is the kind of evidence: audit, object, event.
	Source string `json:"source"`
	// Node is the node whose recorder saw it.
	Node string `json:"node,omitempty"`
	// ID finds it in the source: the Audit-ID, or KIND/NAME@resourceVersion of an API object.
	ID string `json:"id"`
}

// Fact is one thing that is known, in words.
type Fact struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Failure says that a stage ended the way, and why.
type Failure struct {
	// Reason is the short machine word, such as Forbidden, Unschedulable, ErrImagePull.
	Reason string `json:"reason"`
	// Message is the cause in the words of who refused or failed.
	Message string `json:"message"`
	// Code is the HTTP status if a request was refused.
	Code int32 `json:"code,omitempty"`
}

// Missing says that a stage has no evidence, which source would have it, and how to switch that on.
type Missing struct {
	Source string `json:"source"`
	Why    string `json:"why"`
	Remedy string `json:"remedy"`
}

// Request is what identifies a write among others.
type Request struct {
	AuditID     string `json:"auditID"`
	Verb        string `json:"verb"`
	Subresource string `json:"subresource,omitempty"`
	URI         string `json:"uri"`
	User        string `json:"user"`
	// Received is when the API server got it, Took the time until its answer was written.
	Received time.Time     `json:"received"`
	Took     time.Duration `json:"tookNs"`
	Code     int32         `json:"code"`
	// ResourceVersion is the object's version after the write, empty if the answer holds none.
	ResourceVersion string `json:"resourceVersion,omitempty"`
	// Creates says that the write made the object.
	Creates bool `json:"creates,omitempty"`
	// Attempts counts identical refused requests that this one stands for.
	Attempts int `json:"attempts,omitempty"`
}

// State is what an object's status says at one resourceVersion.
type State struct {
	ResourceVersion string `json:"resourceVersion"`
	// Desired is the number of Pods asked for; nil for a Pod.
	Desired *int32 `json:"desired,omitempty"`
	// Ready and ReadyAt are a Pod's condition; ReadyAt is zero if no evidence dates it.
	Ready   bool      `json:"ready"`
	ReadyAt time.Time `json:"readyAt,omitzero"`
	// Node is where a Pod was bound to.
	Node string `json:"node,omitempty"`
	// Scheduler is the Pod's spec.schedulerName.
	Scheduler string `json:"scheduler,omitempty"`
	// Phase is a Pod's status.phase.
	Phase string `json:"phase,omitempty"`
	// Terminating says that the object is being deleted.
	Terminating bool `json:"terminating,omitempty"`
	// FailedAt is the stage that keeps a Pod from being Ready, 0 if none does; Failure is the cause.
	FailedAt Stage    `json:"failedAt,omitempty"`
	Failure  *Failure `json:"failure,omitempty"`
	// Live says that it was read from the API just now, not from a record of the past.
	Live bool `json:"live,omitempty"`
}

// Observation is one piece of evidence about one stage of one object's way.
type Observation struct {
	Subject Subject `json:"subject"`
	Stage   Stage   `json:"stage"`
	// Time is when the evidence says that it happened; zero if it does not say. Never used to join or to order.
	Time time.Time `json:"time,omitzero"`
	// Duration is how long it took; zero if the evidence does not say.
	Duration time.Duration `json:"durationNs,omitempty"`
	Evidence Evidence      `json:"evidence"`
	// Summary says in one line what happened.
	Summary string `json:"summary,omitempty"`
	Facts   []Fact `json:"facts,omitempty"`
	// Inferred marks a join that was not made by an exact identity.
	Inferred bool `json:"inferred,omitempty"`
	// Request is the write that the evidence belongs to, nil for API objects and events.
	Request *Request `json:"-"`
	// Owner is the subject's controller by ownerReference.
	Owner *Subject `json:"-"`
	// State is the object's status as the evidence shows it.
	State   *State   `json:"-"`
	Failure *Failure `json:"failure,omitempty"`
	Missing *Missing `json:"missing,omitempty"`
}

// Fact returns the value of the first fact with that key, and whether there is one.
func (o Observation) Fact(key string) (string, bool) {
	for _, fact := range o.Facts {
		if fact.Key == key {
			return fact.Value, true
		}
	}
	return "", false
}

// Keys of facts that more than one place must know by name.
const (
	FactChild         = "made"
	FactChildUID      = "made UID"
	FactController    = "controller"
	FactNode          = "node"
	FactPodIP         = "Pod IP"
	FactHostIP        = "host IP"
	FactImage         = "image"
	FactPull          = "pull"
	FactContainer     = "container"
	FactEventReason   = "event"
	FactReady         = "Ready"
	FactReadyToStart  = "PodReadyToStartContainers"
	FactContentType   = "content type"
	FactAuditLevel    = "audit level"
	FactStoredVersion = "resourceVersion"
)
