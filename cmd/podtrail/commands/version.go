// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func newVersion(version string, streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of podtrail and of the Kubernetes libraries it is built with",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			libraries, toolchain := "unknown", "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				version, toolchain = cmp.Or(version, info.Main.Version), info.GoVersion
				for _, module := range info.Deps {
					if module.Path == "k8s.io/client-go" {
						libraries = module.Version
					}
				}
			}
			_, err := fmt.Fprintf(streams.Out, "podtrail %s, k8s.io/client-go %s, %s\n", cmp.Or(version, "(devel)"), libraries, toolchain)
			if err != nil {
				return fmt.Errorf("write version: %w", err)
			}
			return nil
		},
	}
}
