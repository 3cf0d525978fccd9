// SPDX-License-Identifier: Apache-2.0

// Package names holds the names under which podtrail's own spans say what they know. Who records and who reads must
// agree on them and may not import each other. Names that OpenTelemetry's semantic conventions give are taken from
// there; ours begin with podtrail.
package names

// Attributes that any part's span may carry.
const (
	// Namespace is that of the object which the span is about. Records are kept and served by it.
	Namespace = "k8s.namespace.name"
	// AuditID is the one under which the API server's audit log has a request.
	AuditID = "podtrail.audit_id"
	// Method, Path and Status are an HTTP request's: its verb, its path without the query, and the answer's code, which
	// is missing if there was no answer.
	Method = "http.request.method"
	Path   = "url.path"
	Status = "http.response.status_code"
)
