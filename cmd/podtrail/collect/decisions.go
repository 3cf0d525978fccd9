// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"bufio"
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
// that leads decides, and after a change the one before still has what it decided.
func (c *Cluster) Decisions(ctx context.Context, namespace string) ([]decision.Record, error) {
	c.Doing("looking for podtrail's scheduler in namespace " + systemNamespace)
	pods, err := c.client.CoreV1().Pods(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: schedulerSelector})
	if err != nil {
		return nil, explain(err, c.config.Host, "find podtrail's scheduler", "list", "pods", systemNamespace)
	}
	if len(pods.Items) == 0 {
		return nil, &Problem{Code: Unreachable, What: "There is no podtrail-scheduler in this cluster.", Next: "make deploy, then create the Pod again"}
	}
	token, err := c.viewerToken(ctx)
	if err != nil {
		return nil, explain(err, c.config.Host, "get a token that reads recordings", "create", "serviceaccounts/token", systemNamespace)
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
	if len(failures) == 0 || len(records) > 0 {
		return records, nil
	}
	return nil, &Problem{
		Code: Unreachable, Cause: errors.Join(failures...),
		What: fmt.Sprintf("podtrail-scheduler can't be read: %v.", failures[0]),
		Next: "kubectl get pods -n " + systemNamespace + " -l " + schedulerSelector + " -o wide",
	}
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

func decodeDecisions(body io.Reader, scheduler string) ([]decision.Record, error) {
	var out []decision.Record
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), maxRecordBytes)
	for lines.Scan() {
		var record source.Record
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			return out, fmt.Errorf("decode a record of scheduler %s: %w", scheduler, err)
		}
		d, err := source.DecodeDecision(record)
		if err != nil {
			return out, err
		}
		out = append(out, d)
	}
	if err := lines.Err(); err != nil {
		return out, fmt.Errorf("read records of scheduler %s: %w", scheduler, err)
	}
	return out, nil
}
