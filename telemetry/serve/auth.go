// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// reviewTimeout bounds what the API server may take to answer both reviews.
	reviewTimeout = 10 * time.Second
	// maxTokenBytes bounds what a caller without any right can make us send to the API server. A token of a
	// ServiceAccount has about 1 KB; OIDC tokens with many groups have more.
	maxTokenBytes = 16 << 10
)

// Authenticated is the filter of the metrics server: it stands before /metrics and every other path. A caller needs
// a bearer token that the API server accepts (TokenReview) and whose user RBAC allows the method, in lower case, on
// the path as a nonResourceURL (SubjectAccessReview).
//
// It answers 401 without a good token, 403 without the right, and 500 only if the API server cannot be asked.
// controller-runtime's filters.WithAuthenticationAndAuthorization asks the same, but answers 500 to a bad token and
// trusts its own cache for up to five minutes. Here nothing is cached: callers are a person's CLI and a scrape, and
// a right that is taken away is gone with the next request.
func Authenticated(config *rest.Config, client *http.Client) (metricsserver.Filter, error) {
	clientset, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("making the client that reviews tokens: %w", err)
	}
	return func(log logr.Logger, next http.Handler) (http.Handler, error) {
		return &gate{log: log, api: clientset, next: next}, nil
	}, nil
}

type gate struct {
	log  logr.Logger
	api  kubernetes.Interface
	next http.Handler
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	user, err := g.authenticate(ctx, bearerToken(r))
	if err != nil {
		g.log.Error(err, "Could not review a token")
		http.Error(w, "Authentication failed: the API server could not be asked", http.StatusInternalServerError)
		return
	}
	if user == nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "Unauthorized: want a bearer token that the API server accepts", http.StatusUnauthorized)
		return
	}
	verb := strings.ToLower(r.Method)
	allowed, err := g.authorize(ctx, user, verb, r.URL.Path)
	if err != nil {
		g.log.Error(err, "Could not review access", "user", user.Username)
		http.Error(w, "Authorization failed: the API server could not be asked", http.StatusInternalServerError)
		return
	}
	if !allowed {
		http.Error(w, fmt.Sprintf("Forbidden: user %q may not %s the nonResourceURL %q", user.Username, verb, r.URL.Path),
			http.StatusForbidden)
		return
	}
	r.Header.Del("Authorization") // nothing behind the gate needs the credential
	g.next.ServeHTTP(w, r)
}

// authenticate returns the user whom the token belongs to, nil if the API server does not accept it.
func (g *gate) authenticate(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	if token == "" || len(token) > maxTokenBytes {
		return nil, nil
	}
	review, err := g.api.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("creating a TokenReview: %w", err)
	}
	if !review.Status.Authenticated {
		return nil, nil
	}
	return &review.Status.User, nil
}

func (g *gate) authorize(ctx context.Context, user *authenticationv1.UserInfo, verb, path string) (bool, error) {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, value := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(value)
	}
	review, err := g.api.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, Groups: user.Groups, UID: user.UID, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("creating a SubjectAccessReview: %w", err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}

// bearerToken returns the token in the Authorization header, empty if there is none.
func bearerToken(r *http.Request) string {
	scheme, token, found := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
