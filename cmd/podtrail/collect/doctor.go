// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Finding is one thing that was checked. A finding without Next is as it should be.
type Finding struct {
	What, Next string
	// Warning says that a trail is whole without what is found, or as whole as it can be.
	Warning bool
}

// Missing reports whether a trail lacks something by it.
func (f Finding) Missing() bool { return f.Next != "" && !f.Warning }

const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// Check checks all that a trail needs: the API server, podtrail's parts, the permissions of who asks, each node's sources.
// Version is this podtrail's.
func (c *Cluster) Check(ctx context.Context, version string) ([]Finding, error) {
	server := c.Version(ctx)
	if server == "" {
		_, err := c.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil && !apierrors.IsForbidden(err) {
			return nil, explain(err, c.config.Host, "list namespaces", "list", "namespaces", "")
		}
	}
	findings := []Finding{{What: "the API server at " + c.config.Host + " answers, version " + server}}
	findings = append(findings, c.checkParts(ctx)...)
	r := c.reach(ctx)
	for _, p := range r.problems {
		findings = append(findings, Finding{What: strings.TrimSuffix(p.What, "."), Next: p.Next})
	}
	if r.token == "" || len(only(r.parts, keepers[0])) == 0 {
		return findings, nil
	}
	c.Doing("asking podtrail's parts what they keep")
	held, failures := c.statuses(ctx, r.parts, r.token)
	if p := c.allForbidden(ctx, failures); p != nil {
		return append(findings, Finding{What: strings.TrimSuffix(p.What, "."), Next: p.Next}), nil
	}
	findings = append(findings, Finding{What: "recordings can be read: a token of " + viewer + ", over port-forward"})
	findings = append(findings, checkNodes(c.nodes(ctx, held), held)...)
	findings = append(findings, checkKept(held)...)
	if skew := Skew(version, held); skew != "" {
		findings = append(findings, Finding{What: skew, Next: deployAgain, Warning: true})
	}
	return findings, nil
}

// allForbidden is the problem that who asks may not reach the parts, nil if that is not what failed.
func (c *Cluster) allForbidden(ctx context.Context, failures []error) *Problem {
	for _, err := range failures {
		if err == nil {
			return nil
		}
	}
	if !c.forwardForbidden(ctx) {
		return nil
	}
	err := apierrors.NewForbidden(corev1.Resource("pods/portforward"), "", failures[0])
	return explain(err, c.config.Host, "reach the recorders", "create", "pods/portforward", systemNamespace)
}

// nodes are those that must have a recorder: the cluster's Linux nodes or, if they may not be listed, those that have one.
func (c *Cluster) nodes(ctx context.Context, held []Keeper) []node {
	list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nodesOf(held)
	}
	var out []node
	for i := range list.Items {
		labels := list.Items[i].Labels
		if system := labels[corev1.LabelOSStable]; system != "" && system != string(corev1.Linux) {
			continue // the DaemonSets' nodeSelector leaves it out
		}
		_, controlPlane := labels[controlPlaneLabel]
		out = append(out, node{list.Items[i].Name, controlPlane})
	}
	return out
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
		return Finding{What: name + " is not in the cluster", Next: deployAgain}
	case err != nil:
		kind, _, _ := strings.Cut(name, "/")
		return Finding{What: fmt.Sprintf("%s can't be read: %v", name, err), Next: "kubectl auth can-i list " + kind + "s -n " + systemNamespace}
	}
	found := Finding{What: fmt.Sprintf("%s: %d of %d ready", name, ready, want)}
	if ready < want || want == 0 {
		found.Next = fmt.Sprintf("kubectl get pods -n %s -o wide", systemNamespace)
	}
	return found
}
