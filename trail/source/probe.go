// SPDX-License-Identifier: Apache-2.0

package source

import (
	"strings"
	"time"
)

// ProbePath is where podtrail doctor POSTs the request by which it proves that evidence is delivered: a
// SelfSubjectReview, which all authenticated users may create and which is stored nowhere.
const ProbePath = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

// ProbeGroup and ProbeResource name the same in an audit event.
const (
	ProbeGroup    = "authentication.k8s.io"
	ProbeResource = "selfsubjectreviews"
)

// ProbePrefix begins the Audit-ID of such a request; a UUID follows. The API server takes a client's Audit-ID as it is,
// up to 64 bytes (k8s.io/apiserver pkg/endpoints/filters/audit_init.go).
const ProbePrefix = "podtrail-doctor-"

// Probe is such a request as it arrived at a source. Both times are of the clock of the recorder's node.
type Probe struct {
	AuditID string `json:"auditID"`
	// Received is when the API server got the request, Arrived when its evidence came to the recorder.
	Received time.Time `json:"received"`
	Arrived  time.Time `json:"arrived"`
}

// IsProbe reports whether a request with that Audit-ID is one of podtrail doctor's.
func IsProbe(auditID string) bool {
	return strings.HasPrefix(auditID, ProbePrefix) && len(auditID) <= 64
}
