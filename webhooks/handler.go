// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"podtrail.dev/podtrail/webhooks/mutation"
	"podtrail.dev/podtrail/webhooks/validation"
	"podtrail.dev/podtrail/webhooks/verdict"
)

// readTimeout bounds how long a request's body may take to arrive. The API server waits 3 s in total;
// controller-runtime bounds the time for the headers only.
const readTimeout = 5 * time.Second

// maxBody is the largest body that is read, in bytes. It is controller-runtime's own limit, which allows for two
// objects of 3 MiB each.
const maxBody = 7 << 20

// guard refuses requests that the API server never sends, such as a stream of unknown length, before it reads their
// body. It also keeps a slow client from occupying a connection and a goroutine.
func guard(next http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch contentType := r.Header.Get("Content-Type"); {
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, fmt.Sprintf("the method is %s: POST an AdmissionReview", r.Method), http.StatusMethodNotAllowed)
			return
		case contentType != runtime.ContentTypeJSON:
			http.Error(w, fmt.Sprintf("the content type is %q: want %s", contentType, runtime.ContentTypeJSON), http.StatusUnsupportedMediaType)
			return
		case r.ContentLength < 0:
			http.Error(w, "the length of the body is not announced: give a Content-Length", http.StatusLengthRequired)
			return
		case r.ContentLength > maxBody:
			http.Error(w, fmt.Sprintf("the body has %d bytes: at most %d are read", r.ContentLength, maxBody), http.StatusRequestEntityTooLarge)
			return
		}
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout)); err != nil {
			http.Error(w, fmt.Sprintf("setting the read deadline: %v", err), http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// decode decodes an embedded object. It matches field names with their case, as the API server does: a lenient decoder
// would see fields that do not exist for the API server.
func decode(raw runtime.RawExtension, what string, into any) error {
	if len(raw.Raw) == 0 {
		return fmt.Errorf("%s is missing in the admission request", what)
	}
	if err := json.Unmarshal(raw.Raw, into); err != nil {
		return fmt.Errorf("reading %s of the admission request: %w", what, err)
	}
	return nil
}

// expectKind guards against a webhook configuration that sends something else.
func expectKind(got, want metav1.GroupVersionKind) error {
	if got != want {
		return fmt.Errorf("the admission request holds a %s, this webhook reads %s: correct the rules of the webhook configuration",
			got.String(), want.String())
	}
	return nil
}

// unreadable answers a request that cannot be decoded.
func unreadable(rule verdict.Rule, err error) admission.Response {
	resp := admission.Errored(http.StatusBadRequest, err)
	resp.AuditAnnotations = verdict.Verdict{Rule: rule, Outcome: verdict.Invalid, Reason: err.Error()}.Annotations()
	return resp
}

func mutated(d mutation.Decision) admission.Response {
	resp := admission.Patched("", d.Patches...).WithWarnings(d.Warnings...)
	resp.AuditAnnotations = d.Verdict.Annotations()
	return resp
}

func validated(d validation.Decision) admission.Response {
	resp := admission.ValidationResponse(!d.Denied(), d.Message).WithWarnings(d.Warnings...)
	resp.AuditAnnotations = d.Verdict.Annotations()
	return resp
}
