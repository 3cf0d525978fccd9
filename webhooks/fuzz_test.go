// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	cases "podtrail.dev/podtrail/test/admission"
)

// recorder lets handlers set deadlines, which a httptest.ResponseRecorder does not.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error { return nil }

// FuzzAdmissionReview sends bytes to every handler, as whoever reaches the port may. Whatever they are, the answer is
// an AdmissionReview that refuses with a reason, or allows with a patch that fits and leaves nothing for a second one.
// The seeds are the cases of test/admission and some that are cut or bent; `make fuzz-admission` goes on from there.
func FuzzAdmissionReview(f *testing.F) {
	logf.SetLogger(logr.Discard())
	handlers, err := Handlers(testOptions)
	if err != nil {
		f.Fatal(err)
	}
	paths := []string{PodDefaultPath, PodValidatePath, TeachingReplicaSetDefaultPath, TeachingReplicaSetValidatePath}
	for i := range paths {
		for _, body := range seeds(f) {
			f.Add(uint8(i), body)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		handler := handlers[paths[int(which)%len(paths)]]
		resp := ask(t, handler, body)
		if !resp.Allowed {
			if resp.Result == nil || resp.Result.Message == "" {
				t.Fatal("refused without a message")
			}
			return
		}
		if len(resp.Patch) > 0 {
			expectSettled(t, handler, body, resp.Patch)
		}
	})
}

func ask(t *testing.T, handler http.Handler, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	w := recorder{httptest.NewRecorder()}
	handler.ServeHTTP(w, request)
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil || review.Response == nil {
		t.Fatalf("HTTP %d without an AdmissionReview's response (%v): %.200s", w.Code, err, w.Body)
	}
	return review.Response
}

// expectSettled applies the patch as the API server does and asks again.
func expectSettled(t *testing.T, handler http.Handler, body, rawPatch []byte) {
	t.Helper()
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil || review.Request == nil {
		t.Skip("read differently by this decoder: the API server writes no such review")
	}
	patch, err := jsonpatch.DecodePatch(rawPatch)
	if err != nil {
		t.Fatalf("the patch %s is none: %v", rawPatch, err)
	}
	patched, err := patch.Apply(review.Request.Object.Raw)
	if err != nil {
		t.Skipf("no object that the API server sends, %v: %s", err, review.Request.Object.Raw)
	}
	review.Request.Object = runtime.RawExtension{Raw: patched}
	again, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	if second := ask(t, handler, again); len(second.Patch) > 0 {
		t.Fatalf("patched again by %s\nfirst by %s\nobject %s", second.Patch, rawPatch, patched)
	}
}

func seeds(f *testing.F) [][]byte {
	f.Helper()
	table, err := cases.Pods()
	if err != nil {
		f.Fatal(err)
	}
	var bodies [][]byte
	for i := range table.Cases {
		c := &table.Cases[i]
		stored, err := table.StoredPod(c)
		if err != nil {
			f.Fatal(err)
		}
		sent, err := table.SentPod(c, stored)
		if err != nil {
			f.Fatal(err)
		}
		bodies = append(bodies, reviewOf(f, podKind, c, sent, stored))
	}
	templates, err := cases.Templates()
	if err != nil {
		f.Fatal(err)
	}
	for i := range templates {
		sent, err := json.Marshal(templates[i].TeachingReplicaSet())
		if err != nil {
			f.Fatal(err)
		}
		bodies = append(bodies, reviewOf(f, teachingReplicaSetKind, &cases.Case{Operation: cases.Create}, sent, nil))
	}
	whole := bodies[0]
	return append(bodies, nil, []byte("{}"), []byte("[]"), []byte("null"), whole[:len(whole)/2],
		bytes.Replace(whole, []byte(`"v1"`), []byte(`"v9"`), 1), bytes.Repeat([]byte(`{"a":`), 1000))
}

func reviewOf(f *testing.F, kind metav1.GroupVersionKind, c *cases.Case, sent, stored []byte) []byte {
	f.Helper()
	request := admissionv1.AdmissionRequest{
		UID: "u", Kind: kind, Namespace: "demo", Operation: admissionv1.Create,
		UserInfo: authenticationv1.UserInfo{Groups: []string{"system:nodes"}},
		Object:   runtime.RawExtension{Raw: sent}, OldObject: runtime.RawExtension{Raw: stored},
	}
	switch c.Operation {
	case cases.Create:
	case cases.Update:
		request.Operation = admissionv1.Update
	default:
		request.Operation, request.SubResource = admissionv1.Update, string(c.Operation)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &request,
	})
	if err != nil {
		f.Fatal(err)
	}
	return body
}
