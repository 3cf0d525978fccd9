// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"podtrail.dev/podtrail/trail"
)

// Node writes stage 9 of a Pod as its node sees it: sandbox, network, containers with their namespaces and limits,
// and the kubelet's and runtime's work in the order in which it was begun.
func Node(out io.Writer, o *trail.Object) error {
	p := &page{}
	run := stageOf(o.Stages, trail.Run).Observations
	where := "a node"
	if nodes := facts(run, trail.FactNode); len(nodes) > 0 {
		where = nodes[0]
	}
	p.line("%s on %s", reference(o.Subject), where)
	p.network(from(run, trail.SourceCNI))
	p.containers(from(run, trail.SourceOCI))
	p.work(from(run, trail.SourceSpan))
	p.line("")
	p.line("next: podtrail explain-stage 9")
	return p.to(out)
}

func (p *page) network(cni []trail.Observation) {
	p.line("")
	p.line("SANDBOX AND NETWORK")
	if len(cni) == 0 {
		p.missing("the sandbox's network: no CNI result of this Pod is kept", "podtrail sources; results of Pods that are gone are deleted on the node")
		return
	}
	var rows [][]string
	for _, key := range []string{
		trail.FactSandbox, "network", trail.FactAddress, trail.FactGateway, trail.FactRoute, trail.FactPodInterface,
		trail.FactHostVeth, "network namespace",
	} {
		for _, value := range facts(cni, key) {
			rows = append(rows, []string{"  " + key, value})
		}
	}
	p.table(rows)
}

func (p *page) containers(oci []trail.Observation) {
	if len(oci) == 0 {
		p.line("")
		p.line("CONTAINERS")
		p.missing("namespaces and limits: no OCI spec of this Pod is kept", "podtrail sources; specs of containers that ended are deleted on the node")
		return
	}
	// The sandbox, which has no container's name, comes first: the containers join it.
	slices.SortStableFunc(oci, func(a, b trail.Observation) int {
		nameA, _ := a.Fact(trail.FactContainer)
		nameB, _ := b.Fact(trail.FactContainer)
		return cmp.Compare(nameA, nameB)
	})
	for _, o := range oci {
		p.line("")
		title := "SANDBOX"
		if name, ok := o.Fact(trail.FactContainer); ok {
			title = "CONTAINER " + name
		}
		p.line("%s  %s", title, limitWords(o))
		var rows [][]string
		for _, fact := range o.Facts {
			if fact.Key != trail.FactContainer {
				rows = append(rows, []string{"  " + fact.Key, fact.Value})
			}
		}
		p.table(rows)
	}
}

// limitWords says which CPU limit the quota is.
func limitWords(o trail.Observation) string {
	quota, _ := o.Fact(trail.FactCPUQuota)
	period, _ := o.Fact(trail.FactCPUPeriod)
	q, errQ := strconv.ParseInt(quota, 10, 64)
	n, errN := strconv.ParseInt(period, 10, 64)
	if errQ != nil || errN != nil || n <= 0 || q <= 0 {
		return ""
	}
	return fmt.Sprintf("cpu.max %d %d is the limit %dm", q, n, q*1000/n)
}

func (p *page) work(spans []trail.Observation) {
	p.line("")
	p.line("WORK")
	if len(spans) == 0 {
		p.missing("the kubelet's and runtime's steps: no span of this Pod is kept", "podtrail doctor, which says whether spans arrive")
		return
	}
	slices.SortStableFunc(spans, func(a, b trail.Observation) int { return a.Time.Compare(b.Time) })
	start := spans[0].Time
	rows := [][]string{{"  AT", "TOOK", "WHAT"}}
	for _, o := range spans {
		rows = append(rows, []string{
			fmt.Sprintf("  %.3fs", o.Time.Sub(start).Seconds()), o.Duration.Round(time.Microsecond).String(), o.Summary,
		})
	}
	p.table(rows)
}
