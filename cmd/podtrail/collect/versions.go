// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Version is the API server's, empty if it does not tell.
func (c *Cluster) Version(ctx context.Context) string {
	version, err := c.ServerVersion(ctx)
	if err != nil {
		return ""
	}
	return version
}

// ServerVersion is the API server's version, or why it can't be read.
func (c *Cluster) ServerVersion(ctx context.Context) (string, error) {
	raw, err := c.client.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", explain(err, c.config.Host, "read /version", "get", "/version", "")
	}
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(raw, &version); err != nil {
		return "", fmt.Errorf("decode /version of %s: %w", c.config.Host, err)
	}
	return version.GitVersion, nil
}

// Server is the API server's address.
func (c *Cluster) Server() string { return c.config.Host }

// PartVersion is how many Pods of a part answer with a version; "" is that of parts older than the answer.
type PartVersion struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	Pods      int    `json:"pods"`
}

// PartVersions counts the parts that can be read by their versions.
func PartVersions(held []Keeper) []PartVersion {
	count := map[PartVersion]int{}
	for _, k := range held {
		if k.Err == nil {
			count[PartVersion{Component: k.Component, Version: k.Version}]++
		}
	}
	out := make([]PartVersion, 0, len(count))
	for part, pods := range count {
		part.Pods = pods
		out = append(out, part)
	}
	slices.SortFunc(out, func(a, b PartVersion) int {
		return cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Version, b.Version))
	})
	return out
}

// Skew says in a sentence which parts are of another version than this podtrail, "" if none are. A podtrail that does not
// know its own version, as go run makes one, is compared with none.
func Skew(own string, held []Keeper) string {
	other := map[string]bool{}
	for _, part := range PartVersions(held) {
		if own != "" && part.Version != own {
			other[fmt.Sprintf("%s %s", part.Component, cmp.Or(part.Version, "of an older version"))] = true
		}
	}
	if len(other) == 0 {
		return ""
	}
	return "podtrail is " + own + " and in the cluster run " + strings.Join(slices.Sorted(maps.Keys(other)), ", ")
}
