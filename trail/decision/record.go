// SPDX-License-Identifier: Apache-2.0

// Package decision is what is known of a scheduler's decisions: the records that podtrail's scheduler keeps and
// serves, and what can be told from them. It is pure: no client, no clock and no network.
//
// # The served form
//
// GET /v1/records of the scheduler answers with one trail/source.Record for each line, whose Source is "decision" and
// whose Data is one Record of this package in JSON. A Pod's records are joined by its UID, never by its name, and
// within it by the number of the attempt. They come in the order in which they were kept; an attempt's Binding comes
// after the attempt, because a Pod can wait in Permit in between.
//
// Nothing in a record is guessed. What the scheduler itself computed on its way is "seen"; what the recorder computed
// afterwards, on a copy of the same nodes, is "evaluated" and marked so wherever it stands.
package decision

import "time"

// Record is one piece of evidence about one Pod. Exactly one of Attempt, Binding, Move and Victim is set.
type Record struct {
	Pod Pod `json:"pod"`
	// Scheduler is the name of the profile, which is the Pod's spec.schedulerName.
	Scheduler string `json:"scheduler"`
	// Time is when it began: the attempt or the binding cycle, the move, the preemption of the victim.
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
	// Bound: the API server took the Binding.
	Bound Outcome = "bound"
)

// Attempt is one scheduling cycle, up to and with Permit.
type Attempt struct {
	// Number counts the Pod's attempts since the scheduler started, from 1 (framework.QueuedPodInfo.Attempts).
	Number int           `json:"number"`
	Took   time.Duration `json:"tookNs"`
	// FirstQueued and Queued are when the Pod came into the queue, at all and for this attempt.
	FirstQueued time.Time `json:"firstQueued,omitzero"`
	Queued      time.Time `json:"queued,omitzero"`
	// Flushed says that no event woke the Pod: it had waited for so long that it was tried again without any.
	Flushed bool    `json:"flushed,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Node is the node that was chosen.
	Node string `json:"node,omitempty"`
	// Message is the scheduler's own, as in the Pod's condition PodScheduled and its event FailedScheduling.
	Message string `json:"message,omitempty"`
	// Rejectors are the plugins whose queueing hints decide what wakes the Pod.
	Rejectors []string `json:"rejectors,omitempty"`
	// Nominated is the node in the Pod's status.nominatedNodeName, which is tried before all others.
	Nominated string `json:"nominated,omitempty"`
	// BatchHint is the node that the batch of Pods with the same signature offered (KEP-5598); if Node is the same, the
	// scores of the Pod before were used and none were computed.
	BatchHint string `json:"batchHint,omitempty"`
	// Preemption is what the PostFilter plugins answered; nil if they were not asked. Its victims are records of their own.
	Preemption *Preemption `json:"preemption,omitempty"`
	Hold       *Hold       `json:"hold,omitempty"`
	// Steps are the extension points in the order in which they ran.
	Steps      []Step     `json:"steps,omitempty"`
	Matrix     Matrix     `json:"matrix,omitzero"`
	Evaluation Evaluation `json:"evaluation"`
}

// Preemption is the answer of PostFilter.
type Preemption struct {
	// Node is the node that was nominated; empty if preemption does not help.
	Node    string `json:"node,omitempty"`
	Message string `json:"message,omitempty"`
}

// Hold says that the Pod waits in Permit because of its annotation podtrail.dev/hold-at.
type Hold struct {
	// Until is when it goes on by itself.
	Until time.Time `json:"until,omitzero"`
	// Problem says why the annotation has no effect; Until is then zero.
	Problem string `json:"problem,omitempty"`
}

// Step is one extension point of one attempt.
type Step struct {
	Name string `json:"name"`
	// After is the time from the Record's Time to its begin.
	After time.Duration `json:"afterNs"`
	Took  time.Duration `json:"tookNs"`
	// Status is empty for success, else the framework's code, as Unschedulable or Wait.
	Status  string `json:"status,omitempty"`
	Plugin  string `json:"plugin,omitempty"`
	Message string `json:"message,omitempty"`
}

// Evaluation says what was done after the attempt, on copies and away from the scheduler's own goroutine.
type Evaluation struct {
	// Done says that every filter plugin was asked about every node, and every score plugin about every scored node.
	Done bool `json:"done"`
	// Why says why it was not done.
	Why  string        `json:"why,omitempty"`
	Took time.Duration `json:"tookNs,omitempty"`
	// Differences counts verdicts and scores that were seen and came out otherwise when they were evaluated again: the
	// evaluation then worked on something that had changed, such as a PersistentVolume or a nominated Pod. What was
	// seen is what is recorded. Example tells the first.
	Differences int    `json:"differences,omitempty"`
	Example     string `json:"example,omitempty"`
}

// Binding is the binding cycle that follows an attempt which placed the Pod.
type Binding struct {
	// Attempt is the Number of the attempt.
	Attempt int           `json:"attempt"`
	Node    string        `json:"node"`
	Outcome Outcome       `json:"outcome"`
	Message string        `json:"message,omitempty"`
	Took    time.Duration `json:"tookNs"`
	// Steps are WaitOnPermit, PreBind, Bind and PostBind, as far as it came.
	Steps []Step `json:"steps,omitempty"`
}

// Move says that the queue took an unschedulable Pod up again.
type Move struct {
	// Event is the framework's label of the cluster event, as NodeUpdateNodeTaint or AssignedPodDelete.
	Event string `json:"event"`
	// Object is what the event is about, as "Node worker2".
	Object string `json:"object,omitempty"`
	// Plugins are the rejectors whose queueing hint answered Queue; empty if the event moves every Pod.
	Plugins []string `json:"plugins,omitempty"`
	// Evaluated says that more than one of the rejectors had a hint for the event, so that Plugins come from asking the
	// hints again. Otherwise the one plugin is known without.
	Evaluated bool `json:"evaluated,omitempty"`
}

// Victim is a Pod that preemption takes away for this record's Pod.
type Victim struct {
	Pod  Pod    `json:"pod"`
	Node string `json:"node"`
	// Error is why it could not be preempted.
	Error string `json:"error,omitempty"`
}
