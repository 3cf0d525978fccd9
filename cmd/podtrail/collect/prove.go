// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

const (
	// proofTimeout bounds how long the evidence of doctor's own request may take. Exporters send every 5 s; on a machine that
	// is busy with other work as well, the API server's spans were seen to come after 12 s.
	proofTimeout = 30 * time.Second
	proofEvery   = time.Second
	// policyRemedy is for a request whose span arrives and whose audit event does not.
	policyRemedy = "the audit policy must record selfsubjectreviews at level Metadata, as config/kind/node/apiserver/audit-policy.yaml does: " +
		"make cluster-down cluster-up deploy"
)

// proof is what has arrived of the request by which doctor proves that evidence is delivered.
type proof struct {
	audit, span *source.Probe
}

// complete reports whether both have.
func (p proof) complete() bool { return p.audit != nil && p.span != nil }

// Prove sends a request that stores nothing and looks for its audit event and its span on the recorders of the control
// planes, for as long as proofTimeout. With several API servers any of them counts.
func (c *Cluster) Prove(ctx context.Context) Finding {
	r := c.reach(ctx)
	recorders := slices.DeleteFunc(only(r.parts, keepers[0]), func(part kept) bool { return part.pod.Labels[recorderLabel] == recorderOfNode })
	if r.token == "" || len(recorders) == 0 {
		return Finding{What: "no request of mine can be looked for: no recorder of a control plane can be read", Next: keepers[0].look(nil)}
	}
	id := source.ProbePrefix + string(uuid.NewUUID())
	if err := c.sendProbe(ctx, id); err != nil {
		return Finding{What: fmt.Sprintf("a request of mine (create selfsubjectreviews) failed: %v", err), Next: "kubectl auth whoami"}
	}
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	var arrived proof
	var held []Keeper
	var old string
	// That the time was up is told by what has not arrived.
	_ = wait.PollUntilContextCancel(ctx, proofEvery, true, func(ctx context.Context) (bool, error) {
		c.Doing("waiting for the evidence of a request of my own, up to " + proofTimeout.String())
		if read, _ := c.statuses(ctx, recorders, r.token); len(read) > 0 { // the last reading may have been cut off
			held = read
		}
		old = olderThanProbes(held)
		arrived = arrived.with(held, id)
		return old != "" || arrived.complete(), nil
	})
	if old != "" {
		return Finding{What: "no request of mine can be looked for: the recorder on " + old + " is older than this podtrail", Next: deployAgain}
	}
	return arrived.judge(held)
}

// olderThanProbes names a node whose recorder remembers no probes, "" if there is none.
func olderThanProbes(held []Keeper) string {
	for _, k := range held {
		for _, s := range k.Sources {
			if s.Now.IsZero() {
				return k.Node
			}
		}
	}
	return ""
}

// sendProbe POSTs a SelfSubjectReview: every authenticated user may, and the answer is stored nowhere.
func (c *Cluster) sendProbe(ctx context.Context, id string) error {
	return c.client.AuthenticationV1().RESTClient().Post().Resource(source.ProbeResource).SetHeader(auditv1.HeaderAuditID, id).
		Body(&authenticationv1.SelfSubjectReview{}).Do(ctx).Error()
}

// with adds what has arrived at the recorders.
func (p proof) with(held []Keeper, id string) proof {
	for _, k := range held {
		for _, s := range k.Sources {
			for _, probe := range s.Probes {
				if probe.AuditID != id {
					continue
				}
				switch s.Source {
				case trail.SourceAudit:
					p.audit = &probe
				case trail.SourceSpan:
					p.span = &probe
				}
			}
		}
	}
	return p
}

// judge says what of the request came back, from whom.
func (p proof) judge(held []Keeper) Finding {
	var came, lacks, nodes []string
	for _, of := range []struct {
		name  string
		probe *source.Probe
	}{{"audit event", p.audit}, {"span", p.span}} {
		if of.probe == nil {
			lacks = append(lacks, of.name)
			continue
		}
		came = append(came, fmt.Sprintf("%s after %.1f s", of.name, max(0, of.probe.Arrived.Sub(of.probe.Received)).Seconds()))
	}
	if len(lacks) == 0 {
		return Finding{What: "a request of mine came back: " + strings.Join(came, ", ")}
	}
	for _, k := range held {
		nodes = append(nodes, k.Node)
	}
	what := fmt.Sprintf("a request of mine did not come back whole: no %s at the recorder on %s within %s",
		strings.Join(lacks, " and no "), strings.Join(nodes, ", "), proofTimeout)
	if len(came) > 0 {
		what += " (" + strings.Join(came, ", ") + ")"
	}
	found := Finding{What: what, Next: "podtrail doctor --wait 150s, as an exporter that found no recorder tries again within 2 minutes"}
	if p.audit == nil && p.span != nil {
		found.Next = policyRemedy
	}
	return found
}
