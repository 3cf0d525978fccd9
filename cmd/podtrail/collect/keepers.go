// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"podtrail.dev/podtrail/trail/source"
)

const (
	systemNamespace = "podtrail-system"
	viewer          = "podtrail-viewer"
	partsSelector   = "app.kubernetes.io/name=podtrail"
	componentLabel  = "app.kubernetes.io/component"
	// recorderLabel says whether a recorder is one of a control plane, which has the audit log and etcd, or of a node only.
	recorderLabel  = "podtrail.dev/recorder-of"
	recorderOfNode = "node"
	keeperTimeout  = 20 * time.Second
	tokenLifetime  = 10 * 60 // seconds, the shortest that the API server grants
	maxRecordBytes = 16 << 20
	maxKeeperReads = 8

	recordsPath = "/v1/records"
	sourcesPath = "/v1/sources"
	// versionHeader is telemetry/serve's VersionHeader.
	versionHeader = "Podtrail-Version"
)

// keeper is a part of podtrail that keeps records and serves them behind authentication.
type keeper struct {
	// component is the value of the component label, port the name of the container port on which it serves.
	component, port string
	// many is the word for several, lacks what a trail has not without them.
	many, lacks string
	// required says that a trail without it is to be told of; the others matter only for Pods of podtrail's own parts.
	required bool
}

// keepers are the parts that keep records. Recorders are on every node; the manager and the scheduler keep what they
// did themselves.
var keepers = []keeper{
	{component: "recorder", port: "metrics", many: "recorders", lacks: "audit evidence (stages 1 to 5 and all times)", required: true},
	{component: "manager", port: "metrics", many: "managers", lacks: "why the TeachingReplicaSet controller acted (stage 7)"},
	scheduler,
}

var scheduler = keeper{
	component: "scheduler", port: "decisions", many: "schedulers", lacks: "how podtrail-scheduler chose the node (stage 8)",
}

// kept is a Pod of a keeper.
type kept struct {
	keeper
	pod *corev1.Pod
}

// reached is what is needed to read from the keepers. Without a token there is nothing to read.
type reached struct {
	parts    []kept
	token    string
	problems []*Problem
}

// records reads the records from every keeper. What is wrong becomes problems: the trail can be made without.
func (c *Cluster) records(ctx context.Context, from reached, what scope, evidence *Evidence) {
	parts, token := slices.DeleteFunc(from.parts, func(part kept) bool { return !what.wants(part) }), from.token
	evidence.Problems = append(evidence.Problems, from.problems...)
	if token == "" {
		return
	}
	query := url.Values{"namespace": {what.namespace}}
	if what.pod != "" {
		query.Set("pod", what.pod)
	}
	if !what.since.IsZero() {
		query.Set("since", what.since.UTC().Format(time.RFC3339Nano))
	}
	answers := make([]Evidence, len(parts))
	failures := c.each(ctx, parts, func(ctx context.Context, i int) error {
		c.Doing("reading records from " + parts[i].pod.Name + " on node " + parts[i].pod.Spec.NodeName)
		return c.get(ctx, parts[i], token, recordsPath, query, func(body io.Reader) error {
			return decodeRecords(body, parts[i], &answers[i])
		})
	})
	for i := range answers {
		evidence.merge(&answers[i])
	}
	evidence.Problems = append(evidence.Problems, c.failed(ctx, parts, failures)...)
}

// reach finds the keepers' Pods and gets a token that they accept.
func (c *Cluster) reach(ctx context.Context) (r reached) {
	c.Doing("looking for podtrail's parts in namespace " + systemNamespace)
	pods, err := c.client.CoreV1().Pods(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: partsSelector})
	if err != nil {
		r.problems = append(r.problems, explain(err, c.config.Host, "find the recorders", "list", "pods", systemNamespace))
		return r
	}
	for _, k := range keepers {
		before := len(r.parts)
		for i := range pods.Items {
			if pods.Items[i].Labels[componentLabel] == k.component && pods.Items[i].DeletionTimestamp == nil {
				r.parts = append(r.parts, kept{k, &pods.Items[i]})
			}
		}
		if len(r.parts) == before && k.required {
			r.problems = append(r.problems, &Problem{
				Code: Unreachable, Next: "make deploy, then create the object again",
				What: fmt.Sprintf("There is no %s in this cluster, so %s is missing.", k.component, k.lacks),
			})
		}
	}
	if len(r.parts) == 0 {
		return r
	}
	if r.token, err = c.viewerToken(ctx); err != nil {
		r.problems = append(r.problems,
			explain(err, c.config.Host, "get a token that reads recordings", "create", "serviceaccounts/token", systemNamespace))
	}
	return r
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

// each calls read for every part, a few at a time, and returns what failed, part by part.
func (c *Cluster) each(ctx context.Context, parts []kept, read func(ctx context.Context, i int) error) []error {
	failures := make([]error, len(parts))
	slots := make(chan struct{}, maxKeeperReads)
	var wait sync.WaitGroup
	for i := range parts {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if phase := parts[i].pod.Status.Phase; phase != corev1.PodRunning {
				failures[i] = fmt.Errorf("%s on node %q is %s", parts[i], parts[i].pod.Spec.NodeName, phase)
				return
			}
			ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
			defer cancel()
			failures[i] = read(ctx, i)
		})
	}
	wait.Wait()
	return failures
}

// servedPort is the port at which the Pod serves its records, 0 if it names none.
func (k kept) servedPort() int {
	for _, container := range k.pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == k.port {
				return int(port.ContainerPort)
			}
		}
	}
	return 0
}

// String names the part as messages do.
func (k kept) String() string { return k.component + " " + k.pod.Name }

// failed turns failures into one problem for each kind of keeper.
func (c *Cluster) failed(ctx context.Context, parts []kept, failures []error) []*Problem {
	var problems []*Problem
	for _, k := range keepers {
		var failed []string
		var cause error
		all := 0
		for i := range parts {
			if parts[i].component != k.component {
				continue
			}
			all++
			if failures[i] != nil {
				failed, cause = append(failed, failures[i].Error()), cmp.Or(cause, failures[i])
			}
		}
		switch {
		case len(failed) == 0:
		case c.forwardForbidden(ctx):
			err := apierrors.NewForbidden(corev1.Resource("pods/portforward"), "", errors.New(failed[0]))
			return []*Problem{explain(err, c.config.Host, "reach the recorders", "create", "pods/portforward", systemNamespace)}
		default:
			problems = append(problems, &Problem{
				Code: Unreachable, What: fmt.Sprintf("%d of %d %s can't be read: %s.", len(failed), all, k.many, failed[0]), Next: k.look(cause),
			})
		}
	}
	return problems
}

// look is the command to try next when a keeper of that kind can't be read.
func (k keeper) look(cause error) string {
	var skew *skewError
	if errors.As(cause, &skew) {
		return deployAgain
	}
	return fmt.Sprintf("kubectl get pods -n %s -l %s,%s=%s -o wide", systemNamespace, partsSelector, componentLabel, k.component)
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

// get reads one path of a keeper. A keeper that does not know the path keeps no records, which is no failure.
func (c *Cluster) get(ctx context.Context, part kept, token, path string, query url.Values, read func(io.Reader) error) error {
	return c.ask(ctx, part, token, path, query, func(response *http.Response) error { return read(response.Body) })
}

// ask is get for who needs the whole answer.
func (c *Cluster) ask(ctx context.Context, part kept, token, path string, query url.Values, read func(*http.Response) error) error {
	target := url.URL{Scheme: "https", Host: serverName(part), Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("make request to %s: %w", part, err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	client := c.clientFor(part)
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("read %s on node %s: %w", part, part.pod.Spec.NodeName, unwrapURL(err))
	}
	defer func() { _ = response.Body.Close() }() // only read from
	switch response.StatusCode {
	case http.StatusOK:
		return read(response)
	case http.StatusNotFound:
		return nil
	}
	said, _ := io.ReadAll(io.LimitReader(response.Body, 512)) // what it said only adds to the status
	if response.StatusCode == http.StatusBadRequest {
		return &skewError{part: part, version: response.Header.Get(versionHeader), said: strings.TrimSpace(string(said))}
	}
	return fmt.Errorf("%s on node %s answered %s: %s", part, part.pod.Spec.NodeName, response.Status, strings.TrimSpace(string(said)))
}

func serverName(part kept) string { return "podtrail-" + part.component }

// clientFor makes a client whose connections end at the keeper.
//
// The keeper's certificate is not verified: it is made at start and signed by no one. What the connection runs
// through is verified instead. It is a stream inside the TLS connection to the API server, whose certificate the
// kubeconfig's CA vouches for; the API server chooses the Pod by name and reaches its node over its own verified
// connection to the kubelet. Who could pose as the keeper there owns the node or the API server already.
func (c *Cluster) clientFor(part kept) *http.Client {
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			raw, err := c.Dial(ctx, part.pod.Namespace, part.pod.Name, part.servedPort())
			if err != nil {
				return nil, err
			}
			conn := tls.Client(raw, &tls.Config{
				ServerName: serverName(part), MinVersion: tls.VersionTLS12,
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

// decodeRecords parses JSON lines. A line that is garbage is left out, the others count.
func decodeRecords(body io.Reader, part kept, into *Evidence) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), maxRecordBytes)
	garbage := 0
	for lines.Scan() {
		var record source.Record
		if json.Unmarshal(lines.Bytes(), &record) != nil || into.add(record) != nil {
			garbage++
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read records of %s: %w", part, err)
	}
	if garbage > 0 {
		return fmt.Errorf("%s on node %s served %d records that this podtrail can't read", part, part.pod.Spec.NodeName, garbage)
	}
	return nil
}

// unwrapURL takes the request's address, which means nothing to a reader, off an error.
func unwrapURL(err error) error {
	var urlError *url.Error
	if errors.As(err, &urlError) {
		return urlError.Err
	}
	return err
}
