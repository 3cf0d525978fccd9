// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"podtrail.dev/podtrail/webhooks/verdict"
)

var testOptions = Options{
	SidecarImage: "registry.example/proxy:1", SchedulerName: "podtrail-scheduler", Version: "v1",
	ExemptNamespaces: []string{"kube-system", "podtrail-system"},
}

func newServer(t *testing.T) *httptest.Server {
	t.Helper()
	handlers, err := Handlers(testOptions)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for path, h := range handlers {
		mux.Handle(path, h)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// post sends a body as the API server does and returns the answered response.
func post(t *testing.T, url string, body io.Reader) *admissionv1.AdmissionResponse {
	t.Helper()
	resp, err := http.Post(url, "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(resp.Body).Decode(&review); err != nil {
		t.Fatalf("HTTP %d without an AdmissionReview: %v", resp.StatusCode, err)
	}
	if review.Response == nil {
		t.Fatalf("HTTP %d with an AdmissionReview that has no response", resp.StatusCode)
	}
	return review.Response
}

func review(t *testing.T, req admissionv1.AdmissionRequest) io.Reader {
	t.Helper()
	if req.UID == "" {
		req.UID = "uid"
	}
	b, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &req,
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

// raw leaves an empty object absent, as the API server does.
func raw(s string) runtime.RawExtension {
	if s == "" {
		return runtime.RawExtension{}
	}
	return runtime.RawExtension{Raw: []byte(s)}
}

const (
	goodPod    = `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p-"},"spec":{"schedulerName":"default-scheduler","containers":[{"name":"app","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1"}}}]}}`
	noLimitPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"app"}]}}`
	// The API server matches field names with their case, so this Pod has no limit.
	wrongCasePod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"app","Resources":{"Limits":{"CPU":"1"}},"resources":{"Limits":{"cpu":"1"}}}]}}`
	goodTRS      = `{"apiVersion":"apps.podtrail.dev/v1alpha1","kind":"TeachingReplicaSet","metadata":{"name":"t"},"spec":{"template":{"spec":{"containers":[{"name":"app","image":"i","resources":{"limits":{"cpu":"1"}}}]}}}}`
	imagelessTRS = `{"apiVersion":"apps.podtrail.dev/v1alpha1","kind":"TeachingReplicaSet","metadata":{"name":"t"},"spec":{"template":{"spec":{"restartPolicy":"Always","containers":[{"name":"app"}]}}}}`
)

func TestHandlers(t *testing.T) {
	type result struct {
		Allowed bool
		Patched []string
		Outcome string
	}
	pods := func(op admissionv1.Operation, namespace, object, old string) admissionv1.AdmissionRequest {
		r := admissionv1.AdmissionRequest{
			Kind: podKind, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Operation: op, Namespace: namespace, DryRun: new(true),
		}
		r.Object, r.OldObject = raw(object), raw(old)
		return r
	}
	teaching := func(op admissionv1.Operation, object, old string) admissionv1.AdmissionRequest {
		r := pods(op, "demo", object, old)
		r.Kind = teachingReplicaSetKind
		return r
	}
	as := func(r admissionv1.AdmissionRequest, sub string, groups ...string) admissionv1.AdmissionRequest {
		r.SubResource, r.UserInfo = sub, authenticationv1.UserInfo{Groups: groups}
		return r
	}
	const create, update, del = admissionv1.Create, admissionv1.Update, admissionv1.Delete
	both := []string{"/spec/initContainers", "/spec/schedulerName", "/metadata/annotations"}
	mirrorPod := strings.Replace(noLimitPod, `"name":"p"`, `"annotations":{"kubernetes.io/config.mirror":"x"}`, 1)

	cases := map[string]struct {
		path string
		req  admissionv1.AdmissionRequest
		want result
	}{
		"a Pod is mutated":                        {PodDefaultPath, pods(create, "demo", goodPod, ""), result{true, both, "mutated"}},
		"an update is not mutated":                {PodDefaultPath, pods(update, "demo", goodPod, goodPod), result{true, nil, "exempt"}},
		"kube-system is not mutated":              {PodDefaultPath, pods(create, "kube-system", goodPod, ""), result{true, nil, "exempt"}},
		"another kind can't be mutated":           {PodDefaultPath, teaching(create, goodTRS, ""), result{false, nil, "invalid"}},
		"a Pod without content can't be mutated":  {PodDefaultPath, pods(create, "demo", "", ""), result{false, nil, "invalid"}},
		"a number is no Pod":                      {PodDefaultPath, pods(create, "demo", "7", ""), result{false, nil, "invalid"}},
		"a Pod with limits":                       {PodValidatePath, pods(create, "demo", goodPod, ""), result{true, nil, "allowed"}},
		"a Pod without":                           {PodValidatePath, pods(create, "demo", noLimitPod, ""), result{false, nil, "denied"}},
		"a limit in the wrong case is none":       {PodValidatePath, pods(create, "demo", wrongCasePod, ""), result{false, nil, "denied"}},
		"a Pod without in kube-system":            {PodValidatePath, pods(create, "kube-system", noLimitPod, ""), result{true, nil, "exempt"}},
		"an unchanged Pod without":                {PodValidatePath, pods(update, "demo", noLimitPod, noLimitPod), result{true, nil, "allowed"}},
		"an update that takes the limit away":     {PodValidatePath, as(pods(update, "demo", noLimitPod, goodPod), "resize"), result{false, nil, "denied"}},
		"an update without the stored Pod":        {PodValidatePath, pods(update, "demo", goodPod, ""), result{false, nil, "invalid"}},
		"a deletion":                              {PodValidatePath, pods(del, "demo", "", noLimitPod), result{true, nil, "exempt"}},
		"a mirror Pod by a kubelet":               {PodValidatePath, as(pods(create, "demo", mirrorPod, ""), "", "system:nodes"), result{true, nil, "exempt"}},
		"a mirror Pod by somebody else":           {PodValidatePath, as(pods(create, "demo", mirrorPod, ""), "", "system:masters"), result{false, nil, "denied"}},
		"a TeachingReplicaSet is completed":       {TeachingReplicaSetDefaultPath, teaching(create, goodTRS, ""), result{true, []string{"/spec/template/spec/restartPolicy"}, "mutated"}},
		"a complete one is left":                  {TeachingReplicaSetDefaultPath, teaching(create, imagelessTRS, ""), result{true, nil, "unchanged"}},
		"a good TeachingReplicaSet":               {TeachingReplicaSetValidatePath, teaching(create, goodTRS, ""), result{true, nil, "allowed"}},
		"a template without an image":             {TeachingReplicaSetValidatePath, teaching(create, imagelessTRS, ""), result{false, nil, "denied"}},
		"the same, stored before":                 {TeachingReplicaSetValidatePath, teaching(update, imagelessTRS, imagelessTRS), result{true, nil, "allowed"}},
		"a Pod is no TeachingReplicaSet":          {TeachingReplicaSetValidatePath, pods(create, "demo", goodPod, ""), result{false, nil, "invalid"}},
		"a TeachingReplicaSet without the stored": {TeachingReplicaSetValidatePath, teaching(update, goodTRS, ""), result{false, nil, "invalid"}},
	}
	server := newServer(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			resp := post(t, server.URL+tc.path, review(t, tc.req))
			got := result{Allowed: resp.Allowed, Outcome: resp.AuditAnnotations[verdict.OutcomeKey]}
			var ops []struct{ Path string }
			if len(resp.Patch) > 0 {
				if err := json.Unmarshal(resp.Patch, &ops); err != nil {
					t.Fatal(err)
				}
			}
			for _, op := range ops {
				got.Patched = append(got.Patched, op.Path)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s\nmessage: %+v", diff, resp.Result)
			}
			if resp.UID != "uid" {
				t.Errorf("the answer's uid is %q, the request's was uid", resp.UID)
			}
			if resp.AuditAnnotations[verdict.RuleKey] == "" || resp.AuditAnnotations[verdict.ReasonKey] == "" {
				t.Errorf("rule or reason is missing in the audit annotations %v", resp.AuditAnnotations)
			}
			if !resp.Allowed && resp.Result.Message == "" {
				t.Error("refused without a message")
			}
		})
	}
}

func TestHandlersNeedTheirOptions(t *testing.T) {
	_, err := Handlers(Options{})
	for _, want := range []string{"no sidecar image", "no scheduler name", "no version"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
}
