// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
)

// versionTimeout bounds how long a cluster that does not answer is asked for its version.
const versionTimeout = 10 * time.Second

// versions is what podtrail version -o json prints.
type versions struct {
	Podtrail string `json:"podtrail"`
	ClientGo string `json:"clientGo"`
	Go       string `json:"go"`
	// Server and Kubernetes are the cluster's address and version, "" if it can't be reached.
	Server     string                `json:"server,omitempty"`
	Kubernetes string                `json:"kubernetes,omitempty"`
	Parts      []collect.PartVersion `json:"parts,omitempty"`
	// Skew says which parts are of another version, "" if none are.
	Skew     string    `json:"skew,omitempty"`
	Problems []problem `json:"problems,omitempty"`
}

type problem struct {
	What string `json:"what"`
	Next string `json:"next"`
}

func newVersion(flags *genericclioptions.ConfigFlags, version string, streams genericiooptions.IOStreams) *cobra.Command {
	output := "text"
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of podtrail, of the cluster, and of podtrail's parts in it",
		Long: `Print the version of this podtrail and of the Kubernetes libraries it is built with, the cluster's, and those of podtrail's
parts in the cluster, with a warning if they differ from this one's. Without a cluster it prints the first line, says
that no cluster can be reached, and ends with 0 as well.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return &collect.Problem{
					Code: collect.WrongUse, What: fmt.Sprintf("There is no output %q; there are text, json.", output), Next: "podtrail version -o json",
				}
			}
			found := ownVersions(version)
			found.read(cmd.Context(), flags)
			return found.print(streams, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", output, "one of text, json")
	return cmd
}

// versionOf is the linker's version or, after go install, the module's; "" if neither is known.
func versionOf(linked string) string {
	info, ok := debug.ReadBuildInfo()
	if linked != "" || !ok || info.Main.Version == "(devel)" {
		return linked
	}
	return info.Main.Version
}

func ownVersions(linked string) versions {
	found := versions{Podtrail: cmp.Or(versionOf(linked), "(devel)"), ClientGo: "unknown", Go: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		found.Go = info.GoVersion
		for _, module := range info.Deps {
			if module.Path == "k8s.io/client-go" {
				found.ClientGo = module.Version
			}
		}
	}
	return found
}

// read asks the cluster and the parts. What can't be read becomes a problem.
func (v *versions) read(ctx context.Context, flags *genericclioptions.ConfigFlags) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cluster, _, err := connect(flags)
	if err == nil {
		v.Kubernetes, err = cluster.ServerVersion(ctx)
	}
	if err != nil {
		v.Problems = append(v.Problems, problemOf(err))
		return
	}
	v.Server = cluster.Server()
	held, problems := cluster.Sources(ctx)
	for _, p := range problems {
		v.Problems = append(v.Problems, problemOf(p))
	}
	v.Parts = collect.PartVersions(held)
	if v.Podtrail != "(devel)" {
		v.Skew = collect.Skew(v.Podtrail, held)
	}
}

func problemOf(err error) problem {
	var known *collect.Problem
	if errors.As(err, &known) {
		return problem{What: known.What, Next: known.Next}
	}
	return problem{What: err.Error(), Next: "podtrail doctor"}
}

func (v *versions) print(streams genericiooptions.IOStreams, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(streams.Out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			return fmt.Errorf("write versions: %w", err)
		}
		return nil
	}
	var out strings.Builder
	_, _ = fmt.Fprintf(&out, "podtrail %s, k8s.io/client-go %s, %s\n", v.Podtrail, v.ClientGo, v.Go)
	if v.Kubernetes != "" {
		_, _ = fmt.Fprintf(&out, "Kubernetes %s at %s\n", v.Kubernetes, v.Server)
	}
	for _, part := range v.Parts {
		_, _ = fmt.Fprintf(&out, "%s %s, Pods: %d\n", part.Component, cmp.Or(part.Version, "of an older version"), part.Pods)
	}
	if _, err := io.WriteString(streams.Out, out.String()); err != nil {
		return fmt.Errorf("write versions: %w", err)
	}
	if v.Skew != "" {
		_, _ = fmt.Fprintf(streams.ErrOut, "warning: %s: make deploy\n", v.Skew)
	}
	for _, p := range v.Problems {
		_, _ = fmt.Fprintf(streams.ErrOut, "missing: %s\nnext:    %s\n", p.What, p.Next)
	}
	return nil
}
