// SPDX-License-Identifier: Apache-2.0

package trail

import "time"

// Names of the evidence's sources, as in Evidence.Source and in the Source of a record.
const (
	SourceAudit     = "audit"     // the API server's audit log
	SourceObject    = "object"    // the API's objects as they are now
	SourceEvent     = "event"     // the API's events
	SourceSpan      = "span"      // OTLP spans of kube-apiserver, kubelet and containerd
	SourceEtcd      = "etcd"      // revisions of keys in etcd
	SourceCNI       = "cni"       // the CNI plugins' cached results
	SourceOCI       = "oci"       // the OCI specs of sandboxes and containers
	SourceLease     = "lease"     // the Leases of nodes
	SourceReconcile = "reconcile" // the TeachingReplicaSet controller's reconcile records
	SourceDecision  = "decision"  // the scheduler's decision records
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
	// Source is the kind of evidence, one of the Source constants.
	Source string `json:"source"`
	// Node is the node whose recorder saw it.
	Node string `json:"node,omitempty"`
	// ID finds it in the source: the Audit-ID, KIND/NAME@resourceVersion of an API object, the span's id, the key and
	// revision in etcd, the file on the node.
	ID string `json:"id"`
}

// Keys are identities that evidence carries beside, or instead of, its subject's UID. Build joins by them: an
// observation without a UID belongs to the object of the request with its AuditID, else to that of its parent span or
// its trace, else to that of its sandbox or container. All are exact; none is a time or a name.
type Keys struct {
	// AuditID is the request that the evidence belongs to.
	AuditID string `json:"auditID,omitempty"`
	// Trace, Span and Parent are W3C ids in lower-case hex. A span without a parent here is the root that was seen.
	Trace  string `json:"trace,omitempty"`
	Span   string `json:"span,omitempty"`
	Parent string `json:"parent,omitempty"`
	// Sandbox and Container are the runtime's ids.
	Sandbox   string `json:"sandbox,omitempty"`
	Container string `json:"container,omitempty"`
	// ResourceVersion is the version that the evidence shows stored: it belongs to the write that made it.
	ResourceVersion string `json:"resourceVersion,omitempty"`
	// Creates says that ResourceVersion is the object's first.
	Creates bool `json:"creates,omitempty"`
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

// Missing says that a stage has no evidence, or none of one source, which source would have it, and how to get it.
type Missing struct {
	Source string `json:"source"`
	Why    string `json:"why"`
	Remedy string `json:"remedy"`
	// Soon reports whether it is only a matter of seconds until the evidence is there.
	Soon bool `json:"-"`
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
	// Keys are what joins the evidence beside the subject's UID.
	Keys Keys `json:"keys,omitzero"`
	// Summary says in one line what happened.
	Summary string `json:"summary,omitempty"`
	Facts   []Fact `json:"facts,omitempty"`
	// Inferred marks a join that was not made by an exact identity.
	Inferred bool `json:"inferred,omitempty"`
	// Request is the write that the evidence is the record of, nil for all sources but the audit log.
	Request *Request `json:"-"`
	// Sender is the service.name of who sent the span that the evidence is, "" for all other sources.
	Sender string `json:"-"`
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
	FactSpan          = "span"
	FactAttempt       = "attempt"
	FactWhy           = "why"
)
