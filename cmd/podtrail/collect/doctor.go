// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"podtrail.dev/podtrail/trail"
)

// Finding is one thing that was checked. A finding without Next is as it should be.
type Finding struct {
	What, Next string
}

// expected are the sources that a cluster with all of podtrail has, with what they show and how each is switched on.
var expected = []struct{ source, shows, remedy string }{
	{trail.SourceAudit, "stages 1 to 5", "start the API server with --audit-log-path and --audit-policy-file (make cluster-up does), then make deploy"},
	{trail.SourceSpan, "the times inside of a request, and the kubelet's and containerd's steps", "start kube-apiserver with --tracing-config-file, the kubelet with tracing, containerd with OTEL_EXPORTER_OTLP_ENDPOINT (make cluster-up does), then make deploy"},
	{trail.SourceEtcd, "what etcd holds (stage 6)", "make deploy: the recorder on the control plane watches etcd"},
	{trail.SourceCNI, "the Pod's network (stage 9)", "make deploy: the recorder of each node reads the CNI cache"},
	{trail.SourceOCI, "namespaces and limits (stage 9)", "make deploy: the recorder of each node reads the OCI specs"},
	{trail.SourceReconcile, "why the TeachingReplicaSet controller acted (stage 7)", "set the manager's --reconcile-records-bytes above 0"},
	{trail.SourceDecision, "how podtrail-scheduler chose the node (stage 8)", "enable the plugin DecisionRecorder in config/scheduler/scheduler-config.yaml, then make deploy"},
}

// Doctor checks all that a trail needs: the API server, podtrail's parts, the permissions of who asks, the sources.
func (c *Cluster) Doctor(ctx context.Context) ([]Finding, error) {
	version := c.Version(ctx)
	if version == "" {
		_, err := c.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil && !apierrors.IsForbidden(err) {
			return nil, explain(err, c.config.Host, "list namespaces", "list", "namespaces", "")
		}
	}
	findings := []Finding{{What: "the API server at " + c.config.Host + " answers, version " + version}}
	findings = append(findings, c.checkParts(ctx)...)
	held, problems := c.Sources(ctx)
	for _, p := range problems {
		findings = append(findings, Finding{What: strings.TrimSuffix(p.What, "."), Next: p.Next})
	}
	if len(held) > 0 {
		findings = append(findings, Finding{What: "recordings can be read: a token of " + viewer + ", over port-forward"})
		findings = append(findings, checkSources(held)...)
	}
	return findings, nil
}

// checkParts finds the Deployments and the DaemonSet of podtrail that are missing or not ready.
func (c *Cluster) checkParts(ctx context.Context) []Finding {
	var out []Finding
	for _, name := range []string{"podtrail-manager", "podtrail-scheduler"} {
		d, err := c.client.AppsV1().Deployments(systemNamespace).Get(ctx, name, metav1.GetOptions{})
		// A Deployment as the API server returns it has its default; without an answer nothing is wanted.
		out = append(out, checkPart("deployment/"+name, d.Status.ReadyReplicas, ptr.Deref(d.Spec.Replicas, 0), err))
	}
	d, err := c.client.AppsV1().DaemonSets(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: partsSelector})
	if err != nil || len(d.Items) == 0 {
		if err == nil {
			err = apierrors.NewNotFound(appsv1.Resource("daemonsets"), "podtrail-recorder")
		}
		return append(out, checkPart("daemonset/podtrail-recorder", 0, 0, err))
	}
	for i := range d.Items {
		status := d.Items[i].Status
		out = append(out, checkPart("daemonset/"+d.Items[i].Name, status.NumberReady, status.DesiredNumberScheduled, nil))
	}
	return out
}

// checkPart says how many Pods of one part are ready, or why that is not known.
func checkPart(name string, ready, want int32, err error) Finding {
	switch {
	case apierrors.IsNotFound(err):
		return Finding{What: name + " is not in the cluster", Next: "make deploy"}
	case err != nil:
		return Finding{What: fmt.Sprintf("%s can't be read: %v", name, err), Next: "kubectl auth can-i get deployments -n " + systemNamespace}
	}
	found := Finding{What: fmt.Sprintf("%s: %d of %d ready", name, ready, want)}
	if ready < want || want == 0 {
		found.Next = fmt.Sprintf("kubectl get pods -n %s -o wide", systemNamespace)
	}
	return found
}

// checkSources finds the expected sources that nobody keeps, those that fail, and those that dropped evidence.
func checkSources(held []Keeper) []Finding {
	var out []Finding
	for _, want := range expected {
		var nodes []string
		kept := 0
		for _, keeper := range held {
			for _, status := range keeper.Sources {
				if status.Source != want.source {
					continue
				}
				kept += status.Kept
				nodes = append(nodes, keeper.Node)
				where := fmt.Sprintf("source %s of %s on %s", want.source, keeper.Component, keeper.Node)
				if status.LastError != "" {
					out = append(out, Finding{What: where + ": " + status.LastError, Next: want.remedy})
				}
				if status.Dropped > 0 {
					out = append(out, Finding{
						What: fmt.Sprintf("%s has dropped %d records, the oldest first: it knows since %s", where, status.Dropped, status.Since.UTC().Format("15:04:05Z")),
						Next: "give the recorder a larger buffer in config/recorder, then make deploy",
					})
				}
			}
		}
		slices.Sort(nodes)
		nodes = slices.Compact(nodes)
		if len(nodes) == 0 {
			out = append(out, Finding{What: "nobody keeps source " + want.source + ", so a trail lacks " + want.shows, Next: want.remedy})
			continue
		}
		out = append(out, Finding{What: fmt.Sprintf("source %s: %d records on %s", want.source, kept, strings.Join(nodes, ", "))})
	}
	return out
}
