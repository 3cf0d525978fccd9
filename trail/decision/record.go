// SPDX-License-Identifier: Apache-2.0

// Package decision defines the records that podtrail's scheduler keeps and serves, and analyses them: why a Pod came to
// its node, or what keeps it from every node. It is pure: no client, no clock and no network.
//
// # The served form
//
// GET /v1/records of the scheduler answers with one trail/source.Record for each line, whose Source is "decision" and
// whose Data is one Record of this package in JSON; read it with Decode. A Pod's records are joined by its UID, never
// by its name, and its attempts by their number. They come in the order in which they were kept; an attempt's Binding
// comes after the attempt, because a Pod can wait in Permit in between.
//
// Nothing in a record is guessed. What the scheduler itself computed is "seen"; what the recorder computed afterwards,
// on a copy of the same nodes, is "evaluated" and marked as such everywhere.
package decision

import "time"

// Record is one piece of evidence about one Pod. Exactly one of Attempt, Binding, Move and Victim is set.
type Record struct {
	Pod Pod `json:"pod"`
	// Scheduler is the name of the profile, which is the Pod's spec.schedulerName.
	Scheduler string `json:"scheduler"`
	// Time is when the attempt, the binding cycle, the move or the preemption began.
	Time    time.Time `json:"time"`
	Attempt *Attempt  `json:"attempt,omitempty"`
	Binding *Binding  `json:"binding,omitempty"`
	Move    *Move     `json:"move,omitempty"`
	Victim  *Victim   `json:"victim,omitempty"`
}

// Pod names the Pod that a decision is about.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// Outcome is how an attempt or a binding cycle ended.
type Outcome string

// The outcomes.
const (
	// Placed: a node was chosen and reserved, and no plugin refused in Permit. Whether the Pod was bound is in Binding.
	Placed Outcome = "placed"
	// Unschedulable: a plugin refused, or there was no node. The Pod waits for an event.
	Unschedulable Outcome = "unschedulable"
	// Failed: something that has nothing to do with the Pod failed. The Pod is tried again after a backoff.
	Failed Outcome = "failed"
	// Bound: the API server accepted the Binding.
	Bound Outcome = "bound"
)

// Attempt is one scheduling cycle, up to and including Permit.
type Attempt struct {
	// Number counts the Pod's attempts since the scheduler started, from 1 (framework.QueuedPodInfo.Attempts).
	Number int           `json:"number"`
	Took   time.Duration `json:"tookNs"`
	// FirstQueued is when the Pod first entered the queue, Queued when it entered it for this attempt.
	FirstQueued time.Time `json:"firstQueued,omitzero"`
	Queued      time.Time `json:"queued,omitzero"`
	// Flushed reports whether the periodic flush returned the Pod to the queue, because no event had woken it.
	Flushed bool    `json:"flushed,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Node is the chosen node.
	Node string `json:"node,omitempty"`
	// Message is the scheduler's, as in the Pod's condition PodScheduled and its event FailedScheduling.
	Message string `json:"message,omitempty"`
	// Rejectors are the plugins whose queueing hints decide which events wake the Pod.
	Rejectors []string `json:"rejectors,omitempty"`
	// Nominated is the Pod's status.nominatedNodeName; that node is tried before all others.
	Nominated string `json:"nominated,omitempty"`
	// BatchHint is the node that the batch of Pods with the same signature offered (KEP-5598). If Node is the same, the
	// scheduler reused the scores of the previous Pod and computed none.
	BatchHint string `json:"batchHint,omitempty"`
	// Preemption is the answer of the PostFilter plugins, or nil if they were not asked. Each victim has its own record.
	Preemption *Preemption `json:"preemption,omitempty"`
	Hold       *Hold       `json:"hold,omitempty"`
	// Steps are the extension points in the order in which they ran.
	Steps []Step `json:"steps,omitempty"`
	// Matrix is left out of the JSON if it is empty.
	Matrix     Matrix     `json:"matrix,omitzero"`
	Evaluation Evaluation `json:"evaluation"`
}

// Preemption is the answer of PostFilter.
type Preemption struct {
	// Node is the nominated node, or empty if preemption does not help.
	Node    string `json:"node,omitempty"`
	Message string `json:"message,omitempty"`
}

// Hold is the effect of the Pod's annotation podtrail.dev/hold-at: the Pod waits in Permit.
type Hold struct {
	// Until is when the Pod continues by itself.
	Until time.Time `json:"until,omitzero"`
	// Problem is why the annotation has no effect; Until is then zero.
	Problem string `json:"problem,omitempty"`
}

// Step is one extension point of one attempt.
type Step struct {
	Name string `json:"name"`
	// After is the time from the Record's Time to the start of the step.
	After time.Duration `json:"afterNs"`
	Took  time.Duration `json:"tookNs"`
	// Status is the framework's code, such as Unschedulable or Wait, or empty for success.
	Status  string `json:"status,omitempty"`
	Plugin  string `json:"plugin,omitempty"`
	Message string `json:"message,omitempty"`
}

// Evaluation is what was computed after the attempt, on copies of the nodes and not in the scheduler's own goroutine.
type Evaluation struct {
	// Done reports whether every filter plugin was asked about every node, and every score plugin about every scored node.
	Done bool `json:"done"`
	// Why is the reason if Done is false.
	Why  string        `json:"why,omitempty"`
	Took time.Duration `json:"tookNs,omitempty"`
	// Differences counts the verdicts and scores whose evaluation differs from what was seen, because something had
	// changed in between, such as a PersistentVolume or a nominated Pod. The record has what was seen. Example describes
	// the first difference.
	Differences int    `json:"differences,omitempty"`
	Example     string `json:"example,omitempty"`
}

// Binding is the binding cycle that follows an attempt that placed the Pod.
type Binding struct {
	// Attempt is the Number of the attempt.
	Attempt int           `json:"attempt"`
	Node    string        `json:"node"`
	Outcome Outcome       `json:"outcome"`
	Message string        `json:"message,omitempty"`
	Took    time.Duration `json:"tookNs"`
	// Steps are WaitOnPermit, PreBind, Bind and PostBind, as far as the cycle got.
	Steps []Step `json:"steps,omitempty"`
}

// Move is the return of an unschedulable Pod to the queue.
type Move struct {
	// Event is the framework's label of the cluster event, such as NodeUpdateNodeTaint or AssignedPodDelete.
	Event string `json:"event"`
	// Object is the object that changed, such as "Node worker2".
	Object string `json:"object,omitempty"`
	// Plugins are the rejectors whose queueing hint answered Queue. It is empty if the event moves every Pod.
	Plugins []string `json:"plugins,omitempty"`
	// Evaluated reports whether the hints were asked again to find Plugins, because more than one of the rejectors had a
	// hint for the event. If only one had, it must have been that one.
	Evaluated bool `json:"evaluated,omitempty"`
}

// Victim is a Pod that preemption evicts in favour of this record's Pod.
type Victim struct {
	Pod  Pod    `json:"pod"`
	Node string `json:"node"`
	// Error is why the victim could not be evicted.
	Error string `json:"error,omitempty"`
}
