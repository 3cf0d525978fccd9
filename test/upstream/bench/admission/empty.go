// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// emptyWebhook is the least that a webhook can be: it takes the request's UID out of the review, does not decode it, and
// answers yes; if it mutates, always with the same one small patch. What a Pod's creation takes longer with it is what the
// API server takes for any webhook. It speaks HTTP/1.1 over TLS, like ours.
type emptyWebhook struct {
	server *httptest.Server
	calls  atomic.Int64
}

func startEmptyWebhook() *emptyWebhook {
	e := &emptyWebhook{}
	e.server = httptest.NewTLSServer(e)
	return e
}

func (e *emptyWebhook) stop() { e.server.Close() }

// addAnnotation is what the mutating one answers, as a JSON patch.
var addAnnotation = base64.StdEncoding.EncodeToString([]byte(`[{"op":"add","path":"/metadata/annotations","value":{"bench":"empty"}}]`))

// ServeHTTP answers a review. The path tells whether it mutates.
func (e *emptyWebhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.calls.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the API server left, or reports it
	}
	// The review begins with its kind and the request's UID (AdmissionReview in k8s.io/api/admission/v1).
	_, after, _ := bytes.Cut(body, []byte(`"uid":"`))
	uid, _, _ := bytes.Cut(after, []byte(`"`))
	patch := ""
	if r.URL.Path == emptyPath(emptyMutating) {
		patch = `,"patchType":"JSONPatch","patch":"` + addAnnotation + `"`
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"%s","allowed":true%s}}`, uid, patch)
}

func emptyPath(side string) string {
	if side == emptyMutating {
		return "/mutate"
	}
	return "/validate"
}

// putEmpty registers or removes the empty webhook of a side, with the scope of ours.
func (s *switchboard) putEmpty(ctx context.Context, side string, isWanted bool) error {
	configuration := s.empty.configuration(side)
	if isWanted {
		return ignoring(apierrors.IsAlreadyExists, s.client.Create(ctx, configuration))
	}
	return client.IgnoreNotFound(s.client.Delete(ctx, configuration))
}

func (e *emptyWebhook) configuration(side string) client.Object {
	url := e.server.URL + emptyPath(side)
	clientConfig := admissionregistrationv1.WebhookClientConfig{
		URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.server.Certificate().Raw}),
	}
	var (
		meta     = metav1.ObjectMeta{Name: "empty"}
		name     = "empty.bench.podtrail.dev"
		effects  = new(admissionregistrationv1.SideEffectClassNone)
		versions = []string{"v1"}
		scope    = &metav1.LabelSelector{MatchLabels: map[string]string{podtrailv1alpha1.AdmissionLabelKey: podtrailv1alpha1.AdmissionEnabled}}
		rules    = []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}}
	)
	if side == emptyMutating {
		return &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: name, ClientConfig: clientConfig, Rules: rules, NamespaceSelector: scope, SideEffects: effects, AdmissionReviewVersions: versions,
		}}}
	}
	return &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{
		Name: name, ClientConfig: clientConfig, Rules: rules, NamespaceSelector: scope, SideEffects: effects, AdmissionReviewVersions: versions,
	}}}
}
