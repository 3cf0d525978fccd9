// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/source"
)

const schedulerSelector = "app.kubernetes.io/name=podtrail,app.kubernetes.io/component=scheduler"

// Pod reads one Pod as it is now. If there is none, the error is the API's own NotFound.
func (c *Cluster) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod, err := c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		err = explain(err, c.config.Host, "read the Pod", "get", "pods", namespace)
	}
	return pod, err
}

// Asks says whether a namespace has a label with that value; without permission to look, it is taken to have it.
func (c *Cluster) Asks(ctx context.Context, namespace, key, value string) bool {
	ns, err := c.client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	return err != nil || ns.Labels[key] == value
}

// Continue takes an annotation off a Pod that has this UID. The API server refuses the patch for any other Pod of the
// name.
func (c *Cluster) Continue(ctx context.Context, pod *corev1.Pod, annotation string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "annotations": map[string]any{annotation: nil},
	}})
	if err != nil {
		return fmt.Errorf("encode the patch: %w", err)
	}
	if _, err := c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "podtrail"}); err != nil {
		return explain(err, c.config.Host, "take the annotation off the Pod", "patch", "pods", pod.Namespace)
	}
	return nil
}

// Decisions reads what podtrail's schedulers recorded about the Pods of a namespace. All of them are asked: only the one
// that leads decides, and after a change the one before still has what it decided. What of it can't be read is a problem
// beside the records, and an error if nothing can.
func (c *Cluster) Decisions(ctx context.Context, namespace string) ([]decision.Record, []*Problem, error) {
	c.Doing("looking for podtrail's scheduler in namespace " + systemNamespace)
	pods, err := c.client.CoreV1().Pods(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: schedulerSelector})
	if err != nil {
		return nil, nil, explain(err, c.config.Host, "find podtrail's scheduler", "list", "pods", systemNamespace)
	}
	if len(pods.Items) == 0 {
		return nil, nil, &Problem{Code: Unreachable, What: "There is no podtrail-scheduler in this cluster.", Next: "make deploy, then create the Pod again"}
	}
	token, err := c.viewerToken(ctx)
	if err != nil {
		return nil, nil, explain(err, c.config.Host, "get a token that reads recordings", "create", "serviceaccounts/token", systemNamespace)
	}
	var records []decision.Record
	var failures []error
	for i := range pods.Items {
		c.Doing("reading decisions from " + pods.Items[i].Name)
		read, err := c.decisionsOf(ctx, namespace, token, &pods.Items[i])
		records = append(records, read...)
		if err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) == 0 {
		return records, nil, nil
	}
	problem := &Problem{
		Code: Unreachable, Cause: errors.Join(failures...),
		What: fmt.Sprintf("podtrail-scheduler can't be read: %v.", failures[0]),
		Next: "kubectl get pods -n " + systemNamespace + " -l " + schedulerSelector + " -o wide",
	}
	if len(records) == 0 {
		return nil, nil, problem
	}
	return records, []*Problem{problem}, nil
}

func (c *Cluster) decisionsOf(ctx context.Context, namespace, token string, pod *corev1.Pod) ([]decision.Record, error) {
	if pod.Status.Phase != corev1.PodRunning {
		return nil, fmt.Errorf("scheduler %s on node %q is %s", pod.Name, pod.Spec.NodeName, pod.Status.Phase)
	}
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	var records []decision.Record
	query := url.Values{"namespace": {namespace}, "source": {source.Decision}}
	err := c.get(ctx, kept{scheduler, pod}, token, recordsPath, query, func(body io.Reader) (err error) {
		records, err = decodeDecisions(body, pod.Name)
		return err
	})
	return records, err
}

// decodeDecisions decodes JSON lines. A line that can't be decoded is left out, and the error counts them; the others
// are returned all the same.
func decodeDecisions(body io.Reader, scheduler string) ([]decision.Record, error) {
	var out []decision.Record
	var first error
	refused := 0
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), maxRecordBytes)
	for lines.Scan() {
		var record source.Record
		err := json.Unmarshal(lines.Bytes(), &record)
		var d decision.Record
		if err == nil {
			d, err = source.DecodeDecision(record)
		}
		if err != nil {
			refused++
			first = cmp.Or(first, err)
			continue
		}
		out = append(out, d)
	}
	if err := lines.Err(); err != nil {
		return out, fmt.Errorf("read records of scheduler %s: %w", scheduler, err)
	}
	if refused > 0 {
		return out, fmt.Errorf("scheduler %s served %d records that this podtrail can't read, the first: %w", scheduler, refused, first)
	}
	return out, nil
}
