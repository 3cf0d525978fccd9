// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

const (
	systemNamespace   = "podtrail-system"
	viewer            = "podtrail-viewer"
	recorderSelector  = "app.kubernetes.io/name=podtrail,app.kubernetes.io/component=recorder"
	recorderPort      = "metrics" // the name of the container port
	recorderTimeout   = 20 * time.Second
	tokenLifetime     = 10 * 60 // seconds, the shortest that the API server grants
	maxRecordBytes    = 16 << 20
	maxRecorderReads  = 8
	recorderTLSServer = "podtrail-recorder"
)

// records reads the audit records of a namespace from every recorder. What is wrong becomes one problem: the trail can
// be made without.
func (c *Cluster) records(ctx context.Context, namespace string, evidence *Evidence) *Problem {
	c.Doing("looking for recorders in namespace " + systemNamespace)
	pods, err := c.client.CoreV1().Pods(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: recorderSelector})
	if err != nil {
		return explain(err, c.config.Host, "find the recorders", "list", "pods", systemNamespace)
	}
	if len(pods.Items) == 0 {
		return &Problem{
			Code: Unreachable, Next: "make deploy, then create the object again",
			What: "There is no recorder in this cluster, so audit evidence (stages 1 to 5 and all times) is missing.",
		}
	}
	token, err := c.viewerToken(ctx)
	if err != nil {
		return explain(err, c.config.Host, "get a token that reads recordings", "create", "serviceaccounts/token", systemNamespace)
	}
	return c.readAll(ctx, namespace, token, pods.Items, evidence)
}

// viewerToken asks for a token of the service account that may read recordings: who may create it may read.
func (c *Cluster) viewerToken(ctx context.Context) (string, error) {
	lifetime := int64(tokenLifetime)
	answer, err := c.client.CoreV1().ServiceAccounts(systemNamespace).CreateToken(ctx, viewer,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &lifetime}},
		metav1.CreateOptions{})
	if err != nil {
		return "", err // explained by the caller
	}
	return answer.Status.Token, nil
}

// readAll reads from all recorders, a few at a time. Records of the same event from two nodes are alike and become
// one in the trail.
func (c *Cluster) readAll(ctx context.Context, namespace, token string, pods []corev1.Pod, evidence *Evidence) *Problem {
	type answer struct {
		observations []trail.Observation
		err          error
	}
	answers := make([]answer, len(pods))
	slots := make(chan struct{}, maxRecorderReads)
	var wait sync.WaitGroup
	for i := range pods {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c.Doing("reading records from " + pods[i].Name + " on node " + pods[i].Spec.NodeName)
			answers[i].observations, answers[i].err = c.read(ctx, namespace, token, &pods[i])
		})
	}
	wait.Wait()
	var failed []string
	for _, a := range answers {
		evidence.Observations = append(evidence.Observations, a.observations...)
		if a.err != nil {
			failed = append(failed, a.err.Error())
		}
	}
	if len(failed) == 0 {
		return nil
	}
	if c.forwardForbidden(ctx) {
		err := apierrors.NewForbidden(corev1.Resource("pods/portforward"), "", errors.New(failed[0]))
		return explain(err, c.config.Host, "reach the recorders", "create", "pods/portforward", systemNamespace)
	}
	return &Problem{
		Code: Unreachable,
		What: fmt.Sprintf("%d of %d recorders can't be read: %s.", len(failed), len(pods), failed[0]),
		Next: "kubectl get pods -n " + systemNamespace + " -l " + recorderSelector + " -o wide",
	}
}

// forwardForbidden asks whether a failed port-forward was for lack of permission: the failed upgrade itself tells no
// more than a text.
func (c *Cluster) forwardForbidden(ctx context.Context) bool {
	review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: systemNamespace, Verb: "create", Resource: "pods", Subresource: "portforward",
		}},
	}, metav1.CreateOptions{})
	return err == nil && !review.Status.Allowed
}

// read gets the records of one recorder.
func (c *Cluster) read(ctx context.Context, namespace, token string, pod *corev1.Pod) ([]trail.Observation, error) {
	if pod.Status.Phase != corev1.PodRunning {
		return nil, fmt.Errorf("recorder %s on node %q is %s", pod.Name, pod.Spec.NodeName, pod.Status.Phase)
	}
	ctx, cancel := context.WithTimeout(ctx, recorderTimeout)
	defer cancel()
	target := url.URL{
		Scheme: "https", Host: recorderTLSServer, Path: "/v1/records",
		RawQuery: url.Values{"namespace": {namespace}, "source": {source.Audit}}.Encode(),
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make request to recorder %s: %w", pod.Name, err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	client := c.clientFor(pod)
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read recorder %s on node %s: %w", pod.Name, pod.Spec.NodeName, unwrapURL(err))
	}
	defer func() { _ = response.Body.Close() }() // only read from
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 512)) // what it said only adds to the status
		return nil, fmt.Errorf("recorder %s on node %s answered %s: %s",
			pod.Name, pod.Spec.NodeName, response.Status, strings.TrimSpace(string(said)))
	}
	return decodeRecords(response.Body, pod)
}

// clientFor makes a client whose connections end at the recorder.
//
// The recorder's certificate is not verified: it is made at start and signed by no one. What the connection runs
// through is verified instead. It is a stream inside the TLS connection to the API server, whose certificate the
// kubeconfig's CA vouches for; the API server chooses the Pod by name and reaches its node over its own verified
// connection to the kubelet. Who could pose as the recorder there owns the node or the API server already.
func (c *Cluster) clientFor(pod *corev1.Pod) *http.Client {
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			raw, err := c.Dial(ctx, pod.Namespace, pod.Name, servedPort(pod))
			if err != nil {
				return nil, err
			}
			conn := tls.Client(raw, &tls.Config{
				ServerName: recorderTLSServer, MinVersion: tls.VersionTLS12,
				InsecureSkipVerify: true, // #nosec G402 -- see clientFor: the tunnel is authenticated
			})
			if err := conn.HandshakeContext(ctx); err != nil {
				return nil, errors.Join(fmt.Errorf("TLS handshake: %w", err), raw.Close())
			}
			return conn, nil
		},
	}
	return &http.Client{Transport: transport}
}

// servedPort is the port at which a Pod serves its metrics and records, 0 if it names none.
func servedPort(pod *corev1.Pod) int {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == recorderPort {
				return int(port.ContainerPort)
			}
		}
	}
	return 0
}

// decodeRecords parses JSON lines. A line that is garbage is left out, the others count.
func decodeRecords(body io.Reader, pod *corev1.Pod) ([]trail.Observation, error) {
	var out []trail.Observation
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), maxRecordBytes)
	garbage := 0
	for lines.Scan() {
		var record source.Record
		if json.Unmarshal(lines.Bytes(), &record) != nil {
			garbage++
			continue
		}
		observations, err := source.ParseAudit(record)
		if err != nil {
			garbage++
			continue
		}
		out = append(out, observations...)
	}
	if err := lines.Err(); err != nil {
		return out, fmt.Errorf("read records of %s: %w", pod.Name, err)
	}
	if garbage > 0 {
		return out, fmt.Errorf("recorder %s on node %s served %d records that are no audit events", pod.Name, pod.Spec.NodeName, garbage)
	}
	return out, nil
}

// unwrapURL takes the request's address, which means nothing to a reader, off an error.
func unwrapURL(err error) error {
	var urlError *url.Error
	if errors.As(err, &urlError) {
		return urlError.Err
	}
	return err
}
