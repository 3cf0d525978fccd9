// SPDX-License-Identifier: Apache-2.0

// Command podtrail, also "kubectl podtrail", shows the whole way of a Pod on a real cluster.
package main

import (
	"io"
	"os"

	"podtrail.dev/podtrail/cmd/podtrail/commands"
)

// version is set by the linker (-X main.version=...). It is empty after go install, which knows the module's.
var version string

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	return commands.Main(version, args, in, out, errOut)
}
