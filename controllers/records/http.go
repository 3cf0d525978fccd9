// SPDX-License-Identifier: Apache-2.0

package records

import (
	"encoding/json"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/util/uuid"
)

// Source is the name of these records beside those of the recorder.
const Source = "reconcile"

// auditIDHeader names a request in the API server's audit log. A client may choose the value.
const auditIDHeader = "Audit-ID"

// Transport gives every request of a pass an Audit-ID and notes the request in the pass's record. Other requests go
// through unchanged.
func Transport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		pass, ok := req.Context().Value(passKey{}).(*Pass)
		if !ok {
			return next.RoundTrip(req)
		}
		noted := Request{
			Method: req.Method, URI: req.URL.RequestURI(), AuditID: string(uuid.NewUUID()), At: pass.buffer.clock.Now(),
		}
		// A RoundTripper must not change the request that it was given.
		req = req.Clone(req.Context())
		req.Header.Set(auditIDHeader, noted.AuditID)
		resp, err := next.RoundTrip(req)
		noted.Seconds = pass.buffer.clock.Since(noted.At).Seconds()
		if err != nil {
			noted.Error = err.Error()
		} else {
			noted.Code = resp.StatusCode
		}
		pass.request(noted)
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// served is the form in which the recorder serves its records too: trail/source.Record.
type served struct {
	Source string          `json:"source"`
	Data   json.RawMessage `json:"data"`
}

// ServeHTTP answers GET with one record for each line, oldest first, of the namespace that the query names, or of all.
// It must be put behind authentication and authorization.
func (b *Buffer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "only GET is served here", http.StatusMethodNotAllowed)
		return
	}
	query := req.URL.Query()
	for parameter := range query {
		if parameter != "namespace" && parameter != "source" {
			http.Error(w, fmt.Sprintf("unknown parameter %q; give namespace or source", parameter), http.StatusBadRequest)
			return
		}
	}
	if source := query.Get("source"); source != "" && source != Source {
		http.Error(w, fmt.Sprintf("source is %q; only %q is kept here", source, Source), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	encoder := json.NewEncoder(w)
	for _, data := range b.kept(query.Get("namespace")) {
		if encoder.Encode(served{Source: Source, Data: data}) != nil {
			// The caller has gone.
			return
		}
	}
}
