// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// apiServer answers reviews as told and remembers what it was asked. Its real counterpart is met in
// test/integration.
type apiServer struct {
	tokenError, accessError error
	denied                  bool
	asked                   []authorizationv1.SubjectAccessReviewSpec
}

func (s *apiServer) clientset() *fake.Clientset {
	clientset := fake.NewClientset()
	clientset.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		if review.Spec.Token != "good" {
			review.Status.Error = "invalid bearer token"
			return true, review, s.tokenError
		}
		review.Status.Authenticated = true
		review.Status.User = authenticationv1.UserInfo{
			Username: "jane", UID: "u", Groups: []string{"g"}, Extra: map[string]authenticationv1.ExtraValue{"e": {"x"}},
		}
		return true, review, s.tokenError
	})
	clientset.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		s.asked = append(s.asked, review.Spec)
		review.Status.Allowed = !s.denied
		return true, review, s.accessError
	})
	return clientset
}

func TestGate(t *testing.T) {
	down := errors.New("connection refused")
	asked := func(verb, path string) []authorizationv1.SubjectAccessReviewSpec {
		return []authorizationv1.SubjectAccessReviewSpec{{
			User: "jane", UID: "u", Groups: []string{"g"}, Extra: map[string]authorizationv1.ExtraValue{"e": {"x"}},
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: verb, Path: path},
		}}
	}
	tests := map[string]struct {
		method        string
		authorization string
		api           apiServer
		want          int
		wantAsked     []authorizationv1.SubjectAccessReviewSpec
	}{
		"a good token and the right":      {authorization: "Bearer good", want: 200, wantAsked: asked("get", RecordsPath)},
		"the scheme in lower case":        {authorization: "bearer good", want: 200, wantAsked: asked("get", RecordsPath)},
		"another method is another right": {method: http.MethodPost, authorization: "Bearer good", want: 200, wantAsked: asked("post", RecordsPath)},
		"no token":                        {want: 401},
		"an empty token":                  {authorization: "Bearer ", want: 401},
		"another scheme":                  {authorization: "Basic good", want: 401},
		"a bad token":                     {authorization: "Bearer bad", want: 401},
		"a token too long to ask about":   {authorization: "Bearer " + strings.Repeat("x", maxTokenBytes+1), api: apiServer{tokenError: down}, want: 401},
		"a good token without the right":  {authorization: "Bearer good", api: apiServer{denied: true}, want: 403, wantAsked: asked("get", RecordsPath)},
		"nobody to ask about the token":   {authorization: "Bearer good", api: apiServer{tokenError: down}, want: 500},
		"nobody to ask about the right":   {authorization: "Bearer good", api: apiServer{accessError: down}, want: 500, wantAsked: asked("get", RecordsPath)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			reached := false
			g := &gate{log: logr.Discard(), api: tc.api.clientset(), next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				reached = true
				if r.Header.Get("Authorization") != "" {
					t.Error("the token went further than the gate")
				}
			})}
			request := httptest.NewRequest(tc.method, RecordsPath+"?namespace=a", nil)
			if tc.authorization != "" {
				request.Header.Set("Authorization", tc.authorization)
			}
			recorder := httptest.NewRecorder()
			g.ServeHTTP(recorder, request)
			if recorder.Code != tc.want || reached != (tc.want == http.StatusOK) {
				t.Errorf("status %d and handler reached %v, want %d", recorder.Code, reached, tc.want)
			}
			if diff := cmp.Diff(tc.wantAsked, tc.api.asked); diff != "" {
				t.Errorf("SubjectAccessReviews (-want +got):\n%s", diff)
			}
		})
	}
}
