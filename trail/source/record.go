// SPDX-License-Identifier: Apache-2.0

// Package source holds what the recorder serves and the pure parsers that turn it into observations.
package source

import (
	"encoding/json"
	"time"

	"podtrail.dev/podtrail/trail"
)

// Names of the recorder's sources, each with what a Record's Data then is.
const (
	// Audit is the API server's audit log: one audit.k8s.io/v1 Event.
	Audit = trail.SourceAudit
	// Span is what kube-apiserver, kubelet and containerd trace: one Spans.
	Span = trail.SourceSpan
	// Etcd is the store itself: one Stored.
	Etcd = trail.SourceEtcd
	// CNI is the cached result of a sandbox's network set-up: one CNIResult.
	CNI = trail.SourceCNI
	// OCI is the runtime's specification of a sandbox or container: one OCISpec.
	OCI = trail.SourceOCI
	// Lease is the renewal of a node's Lease: one Renewal.
	Lease = trail.SourceLease
)

// Subject is the trail's own. Records carry it, and the recorder, which knows this package alone, writes it by this name.
type Subject = trail.Subject

// State is the trail's own, like Subject.
type State = trail.State

// Sender is the trail's own, like Subject.
type Sender = trail.Sender

// Record is one piece of raw evidence as a recorder keeps it: who saw it, where, and the bytes as they were seen.
// GET /v1/records serves one JSON object of this form for each line.
type Record struct {
	// Source names the kind of evidence, for example "audit".
	Source string `json:"source"`
	// Node is the name of the node whose recorder saw it.
	Node string `json:"node,omitempty"`
	// Data is the evidence itself, in the form that its source gives.
	Data json.RawMessage `json:"data"`
}

// Status says what one source of one recorder holds, so that a reader knows what cannot be known.
// GET /v1/sources serves an array of these.
type Status struct {
	// Source and Node are those of the records.
	Source string `json:"source"`
	Node   string `json:"node,omitempty"`
	// Since is the time from which on this recorder knows; evidence from before is not there.
	Since time.Time `json:"since"`
	// Kept and KeptBytes count the records that are held now.
	Kept      int   `json:"kept"`
	KeptBytes int64 `json:"keptBytes"`
	// Dropped counts the records that were held and had to go to keep the buffer's bound, the oldest first.
	Dropped int64 `json:"dropped"`
	// Filtered counts what was seen and not kept because no trail can need it.
	Filtered int64 `json:"filtered"`
	// Malformed counts what could not be understood: cut off, too long, or not of the source's form.
	Malformed int64 `json:"malformed"`
	// LastError is the last reason why the source could not be read; empty when it can.
	LastError string `json:"lastError,omitempty"`
	// Warning is why the source works, but not as well as it should; empty when it does.
	Warning string `json:"warning,omitempty"`
	// Now is the recorder's clock when it answered, to compare the other times with. It is zero from a recorder that is
	// older than this field, which then has none of those below either.
	Now time.Time `json:"now,omitzero"`
	// Senders are the services that have sent spans to the source Span, by name.
	Senders []Sender `json:"senders,omitempty"`
	// Probes are the last requests of podtrail doctor's that arrived, the oldest first.
	Probes []Probe `json:"probes,omitempty"`
}

// Listening returns what the statuses say of those who send spans. Recorders that do not say who sends are left out.
func Listening(statuses []Status) []trail.Listening {
	var out []trail.Listening
	for _, s := range statuses {
		if s.Source == Span && !s.Now.IsZero() {
			out = append(out, trail.Listening{Node: s.Node, Now: s.Now, Since: s.Since, Senders: s.Senders})
		}
	}
	return out
}
