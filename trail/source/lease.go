// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strconv"
	"time"

	"podtrail.dev/podtrail/trail"
)

// Renewal is one renewal of a node's Lease, by which its kubelet says that it is alive.
type Renewal struct {
	// Node is the Lease's name, which is the node's; Holder is who renewed it, the same in a healthy cluster.
	Node   string `json:"node"`
	Holder string `json:"holder"`
	// RenewTime is the kubelet's clock.
	RenewTime time.Time `json:"renewTime"`
	// Seconds is how long the renewal counts. Revision is the Lease's resourceVersion.
	Seconds  int32 `json:"seconds"`
	Revision int64 `json:"revision"`
}

// ParseLease turns one Renewal into an observation of stage Heal of the node.
func ParseLease(record Record) ([]trail.Observation, error) {
	renewal, err := decode[Renewal](record)
	if err != nil {
		return nil, err
	}
	if renewal.Node == "" {
		return nil, fmt.Errorf("lease record of node %q names no node", record.Node)
	}
	revision := strconv.FormatInt(renewal.Revision, 10)
	return []trail.Observation{{
		Subject:  trail.Subject{Kind: "Node", Name: renewal.Node},
		Keys:     trail.Keys{ResourceVersion: revision},
		Stage:    trail.Heal,
		Time:     renewal.RenewTime,
		Evidence: trail.Evidence{Source: trail.SourceLease, Node: record.Node, ID: "Lease/" + renewal.Node + "@" + revision},
		Summary:  "kubelet of " + renewal.Node + " renewed its Lease",
		Facts: known(
			trail.Fact{Key: "holder", Value: renewal.Holder},
			trail.Fact{Key: "renewed at", Value: renewal.RenewTime.UTC().Format(time.RFC3339Nano)},
			trail.Fact{Key: "lease duration", Value: fmt.Sprintf("%d s", renewal.Seconds)},
		),
	}}, nil
}
