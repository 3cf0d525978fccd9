// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"podtrail.dev/podtrail/trail/source"
)

// deployAgain brings the parts in the cluster to the version of this checkout.
const deployAgain = "make deploy"

// Keeper is what one part says of itself and of the sources that it keeps.
type Keeper struct {
	Component, Pod, Node string
	// ControlPlane says of a recorder that it is one of a control plane.
	ControlPlane bool
	// Version is "" if the part is older than the header that says it.
	Version string
	Sources []source.Status
	// Err is why it can't be read; nil if it can.
	Err error
}

// skewError is a part's refusal of a request that this podtrail makes right: one of the two is older than the other.
type skewError struct {
	part          kept
	version, said string
}

func (e *skewError) Error() string {
	version := "of a version that does not say which it is"
	if e.version != "" {
		version = e.version
	}
	return fmt.Sprintf("%s on node %s is %s and does not understand this podtrail (%s)", e.part, e.part.pod.Spec.NodeName, version, e.said)
}

// Sources asks every keeper what it keeps. Those that can't be read are among them, and in the problems.
func (c *Cluster) Sources(ctx context.Context) ([]Keeper, []*Problem) {
	r := c.reach(ctx)
	if r.token == "" {
		return nil, r.problems
	}
	c.Doing("asking podtrail's parts what they keep")
	held, failures := c.statuses(ctx, r.parts, r.token)
	return held, append(r.problems, c.failed(ctx, r.parts, failures)...)
}

// Listening asks the recorders what they know of who sends spans to them. What can't be read is left out: whoever reads
// records has said so already.
func (c *Cluster) Listening(ctx context.Context) []source.Status {
	r := c.reach(ctx)
	if r.token == "" {
		return nil
	}
	c.Doing("asking the recorders who sends spans to them")
	held, _ := c.statuses(ctx, only(r.parts, keepers[0]), r.token)
	var out []source.Status
	for _, keeper := range held {
		out = append(out, keeper.Sources...)
	}
	return out
}

// only are the parts of one kind.
func only(parts []kept, of keeper) []kept {
	var out []kept
	for _, part := range parts {
		if part.component == of.component {
			out = append(out, part)
		}
	}
	return out
}

// statuses asks parts what they keep, and returns beside it what failed, part by part.
func (c *Cluster) statuses(ctx context.Context, parts []kept, token string) ([]Keeper, []error) {
	out := make([]Keeper, len(parts))
	for i, part := range parts {
		out[i] = Keeper{
			Component: part.component, Pod: part.pod.Name, Node: part.pod.Spec.NodeName,
			ControlPlane: part.component == keepers[0].component && part.pod.Labels[recorderLabel] != recorderOfNode,
		}
	}
	failures := c.each(ctx, parts, func(ctx context.Context, i int) error {
		return c.ask(ctx, parts[i], token, sourcesPath, nil, func(response *http.Response) error {
			out[i].Version = response.Header.Get(versionHeader)
			if err := json.NewDecoder(io.LimitReader(response.Body, maxRecordBytes)).Decode(&out[i].Sources); err != nil {
				return fmt.Errorf("%s on node %s: decode its sources: %w", parts[i], parts[i].pod.Spec.NodeName, err)
			}
			return nil
		})
	})
	for i := range out {
		out[i].Err = failures[i]
	}
	return out, failures
}
