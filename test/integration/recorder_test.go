// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/recorder/auditlog"
	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/recorder/otlp"
	"podtrail.dev/podtrail/telemetry/serve"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

const (
	recorderNamespace = "podtrail-system"
	// recorderWait bounds how long an event may take from the API server to a record.
	recorderWait = 10 * time.Second
	// passphrase is a value that no recording may hold, wherever it was put.
	passphrase = "correct-horse-battery-staple"
)

// auditPolicy logs everything in full, Secrets too: what is not recorded is the recorder's doing, not the policy's.
const auditPolicy = `{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitManagedFields":true,"rules":[{"level":"RequestResponse"}]}`

// recorderRig is an API server that writes an audit log, and a recorder that follows it, with the rights that
// config/ gives it.
type recorderRig struct {
	admin  client.Client
	config *rest.Config
	log    string
	// spans is where the API server sends its spans.
	spans *otlp.Receiver
	url   string
}

// newRecorderRig starts an API server of its own: the shared one writes no audit log.
func newRecorderRig(t *testing.T) *recorderRig {
	t.Helper()
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.json"), filepath.Join(dir, "audit.log")
	must(t, os.WriteFile(policy, []byte(auditPolicy), 0o600))
	tracing, collector := filepath.Join(dir, "tracing.yaml"), freeAddress(t)
	must(t, os.WriteFile(tracing, fmt.Appendf(nil, "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: %s\nsamplingRatePerMillion: 1000000\n", collector), 0o600))
	spans, err := otlp.New(collector, 1<<20, evidence.New(source.Span, "control-plane", 64<<20))
	must(t, err)
	runUntilTheEnd(t, spans.Start) // before the API server, whose exporter would else wait to connect
	environment := &envtest.Environment{}
	environment.ControlPlane.GetAPIServer().Configure().
		Set("audit-policy-file", policy).Set("audit-log-path", log).Set("tracing-config-file", tracing).
		// Rotations within a test's seconds: one for each MB.
		Set("audit-log-maxsize", "1")
	config, err := environment.Start()
	must(t, err)
	t.Cleanup(func() { must(t, environment.Stop()) })
	admin, err := client.New(config, client.Options{})
	must(t, err)
	rig := &recorderRig{admin: admin, config: config, log: log, spans: spans}

	must(t, admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: recorderNamespace}}))
	rig.create(t, "../../config/rbac/viewer.yaml")
	rig.create(t, "../../config/recorder/rbac.yaml")
	// The recorder runs as its own ServiceAccount, so that a right that is missing there is missed here.
	own := rest.AnonymousClientConfig(config)
	own.BearerToken = rig.token(t, "podtrail-recorder")
	rig.start(t, own)
	return rig
}

// start runs a follower and a server until the test ends.
func (r *recorderRig) start(t *testing.T, config *rest.Config) {
	t.Helper()
	follower := auditlog.New(r.log, evidence.New(source.Audit, "control-plane", 64<<20))
	httpClient, err := rest.HTTPClientFor(config)
	must(t, err)
	server, err := metricsserver.NewServer(serve.Options("127.0.0.1:0", "v1.2.3", follower, r.spans), config, httpClient)
	must(t, err)
	// t.Context ends before the clean-up, so both have ended when the API server is stopped.
	ended := make(chan error, 2)
	go func() { ended <- follower.Start(t.Context()) }()
	go func() { ended <- server.Start(t.Context()) }()
	t.Cleanup(func() {
		for range cap(ended) {
			must(t, <-ended)
		}
	})
	bound := server.(interface{ GetBindAddr() string })
	NewWithT(t).Eventually(bound.GetBindAddr).WithTimeout(recorderWait).ShouldNot(BeEmpty(), "the server's address")
	r.url = "https://" + bound.GetBindAddr()
}

// create makes the objects in a file of config/.
func (r *recorderRig) create(t *testing.T, path string) {
	t.Helper()
	file, err := os.ReadFile(path)
	must(t, err)
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(file), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := documents.Decode(object)
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		if object.Object != nil {
			must(t, r.admin.Create(t.Context(), object))
		}
	}
}

// token asks for a token of a ServiceAccount, as the CLI does.
func (r *recorderRig) token(t *testing.T, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: recorderNamespace}}
	request := &authenticationv1.TokenRequest{}
	must(t, r.admin.SubResource("token").Create(t.Context(), account, request))
	return request.Status.Token
}

// get asks the recorder; an empty token sends none.
func (r *recorderRig) get(ctx context.Context, path, token string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// The certificate is signed by nobody; see serve.Options for who vouches for whom.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: recorderWait}).Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// freeAddress is one of the loopback on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, listener.Close()) }()
	return listener.Addr().String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecorder(t *testing.T) {
	rig := newRecorderRig(t)
	must(t, rig.admin.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "stranger", Namespace: recorderNamespace}}))
	viewer := rig.token(t, "podtrail-viewer")

	t.Run("who gets in", func(t *testing.T) { testRecorderAccess(t, rig, viewer) })
	t.Run("what is recorded", func(t *testing.T) { testRecorderContent(t, rig, viewer) })
	t.Run("doctor's request comes back", func(t *testing.T) { testRecorderProof(t, rig) })
	t.Run("the API server's own rotation", func(t *testing.T) { testRecorderRotation(t, rig, viewer) })
}

func testRecorderAccess(t *testing.T, rig *recorderRig, viewer string) {
	callers := map[string]struct {
		token string
		want  int
	}{
		"nobody":                                 {want: http.StatusUnauthorized},
		"a token that is junk":                   {token: "junk", want: http.StatusUnauthorized},
		"a token whose signature was changed":    {token: viewer[:len(viewer)-8] + "AAAAAAAA", want: http.StatusUnauthorized},
		"a ServiceAccount without the role":      {token: rig.token(t, "stranger"), want: http.StatusForbidden},
		"the recorder's ServiceAccount itself":   {token: rig.token(t, "podtrail-recorder"), want: http.StatusForbidden},
		"podtrail-viewer, which the CLI asks as": {token: viewer, want: http.StatusOK},
	}
	for name, tc := range callers {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{serve.RecordsPath, serve.SourcesPath, "/metrics"} {
				status, body, err := rig.get(t.Context(), path, tc.token)
				must(t, err)
				if status != tc.want {
					t.Errorf("GET %s: status %d (%.200s), want %d", path, status, body, tc.want)
				}
			}
		})
	}
}

func testRecorderContent(t *testing.T, rig *recorderRig, viewer string) {
	const namespace = "default"
	must(t, rig.admin.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "secret", Namespace: namespace}, StringData: map[string]string{"key": passphrase},
	}))
	must(t, rig.admin.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "config", Namespace: namespace}, Data: map[string]string{"key": passphrase},
	}))
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "traced", Namespace: namespace, Annotations: map[string]string{
			corev1.LastAppliedConfigAnnotation: `{"spec":{"containers":[{"env":[{"name":"PASSWORD","value":"` + passphrase + `"}]}]}}`,
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "app", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: passphrase}},
		}}},
	}
	must(t, rig.admin.Create(t.Context(), pod))
	// A Pod's environment cannot change; the refusal shows both values.
	changed := pod.DeepCopy()
	changed.Spec.Containers[0].Env[0].Value = passphrase + "-2"
	if err := rig.admin.Update(t.Context(), changed); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), passphrase) {
		t.Fatalf("the update gave %v, want a refusal that shows the value: else this test proves nothing", err)
	}
	must(t, rig.admin.Delete(t.Context(), pod))

	events, body := rig.eventsOf(t, viewer, namespace, "traced", "delete")
	got := ""
	for _, e := range events {
		got += fmt.Sprintf("%s %d\n", e.Verb, e.ResponseStatus.Code)
	}
	if want := "create 201\nupdate 422\ndelete 200\n"; got != want {
		t.Errorf("the Pod's events are\n%swant\n%s", got, want)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(passphrase)) // as a Secret's data has it
	if strings.Contains(body, passphrase) || strings.Contains(body, encoded) {
		t.Errorf("the recording holds the value that no recording may hold:\n%s", body)
	}
	if !strings.Contains(body, `"name":"PASSWORD","value":"<redacted>"`) {
		t.Errorf("the recording does not show that there is a value:\n%s", body)
	}
}

// testRecorderProof sends the request by which doctor proves delivery, as doctor does, and looks for its evidence.
func testRecorderProof(t *testing.T, rig *recorderRig) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "podtrail-recorder", Namespace: recorderNamespace, Labels: map[string]string{
			"app.kubernetes.io/name": "podtrail", "app.kubernetes.io/component": "recorder", "podtrail.dev/recorder-of": "control-plane",
		}},
		Spec: corev1.PodSpec{NodeName: "control-plane", Containers: []corev1.Container{{Name: "recorder", Image: "recorder"}}},
	}
	must(t, rig.admin.Create(t.Context(), pod))
	pod.Status.Phase = corev1.PodRunning
	must(t, rig.admin.Status().Update(t.Context(), pod))
	cluster, err := collect.New(rig.config)
	must(t, err)
	cluster.Dial = func(ctx context.Context, _, _ string, _ int) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(rig.url, "https://"))
	}
	finding := cluster.Prove(t.Context())
	if finding.Next != "" || !strings.HasPrefix(finding.What, "a request of mine came back: audit event after ") {
		t.Errorf("doctor finds %+v, want its audit event and its span", finding)
	}
	status := rig.spans.Status()
	if len(status.Senders) != 1 || status.Senders[0].Name != trail.SenderAPIServer || status.Senders[0].Connections != 1 {
		t.Errorf("senders are %+v, want the API server, connected once", status.Senders)
	}
	if len(status.Probes) != 1 {
		t.Errorf("probes are %+v, want doctor's one", status.Probes)
	}
}

// testRecorderRotation writes more than one file of the log and wants every Pod's creation.
func testRecorderRotation(t *testing.T, rig *recorderRig, viewer string) {
	const namespace, pods = "default", 60
	filler := strings.Repeat("x", 30<<10) // the event has it twice: 60 Pods make at least three files of 1 MB
	for i := range pods {
		must(t, rig.admin.Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("rotated-%d", i), Namespace: namespace, Annotations: map[string]string{"filler": filler}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
		}))
	}
	for i := range pods {
		rig.eventsOf(t, viewer, namespace, fmt.Sprintf("rotated-%d", i), "create")
	}
	rotated, err := filepath.Glob(filepath.Join(filepath.Dir(rig.log), "audit-*.log"))
	must(t, err)
	if len(rotated) < 2 {
		t.Errorf("the API server rotated its log to %q, want at least two files: else this test proves nothing", rotated)
	}
}

// eventsOf returns the events about one Pod, and the whole answer they came in, once the last verb is among them.
func (r *recorderRig) eventsOf(t *testing.T, token, namespace, name, lastVerb string) ([]auditv1.Event, string) {
	t.Helper()
	var events []auditv1.Event
	var body string
	NewWithT(t).Eventually(func(g Gomega) {
		status, answer, err := r.get(t.Context(), serve.RecordsPath+"?source=audit&namespace="+namespace, token)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(status).To(Equal(http.StatusOK), answer)
		events, body = podEvents(g, answer, namespace, name), answer
		g.Expect(events).NotTo(BeEmpty(), "no event of Pod %s", name)
		g.Expect(events[len(events)-1].Verb).To(Equal(lastVerb), "the last event of Pod %s", name)
	}).WithTimeout(recorderWait).WithPolling(100 * time.Millisecond).Should(Succeed())
	return events, body
}

// podEvents parses the answer and picks the events of one Pod.
func podEvents(g Gomega, answer, namespace, name string) []auditv1.Event {
	var events []auditv1.Event
	scanner := bufio.NewScanner(strings.NewReader(answer))
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var record source.Record
		g.Expect(json.Unmarshal(scanner.Bytes(), &record)).To(Succeed())
		g.Expect(record.Source).To(Equal(source.Audit))
		g.Expect(record.Node).To(Equal("control-plane"))
		var event auditv1.Event
		g.Expect(json.Unmarshal(record.Data, &event)).To(Succeed())
		g.Expect(event.ObjectRef.Namespace).To(BeElementOf(namespace, ""))
		if event.ObjectRef.Resource == "pods" && event.ObjectRef.Name == name {
			events = append(events, event)
		}
	}
	g.Expect(scanner.Err()).NotTo(HaveOccurred())
	return events
}
