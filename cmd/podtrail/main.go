// SPDX-License-Identifier: Apache-2.0

// Command podtrail, also "kubectl podtrail", shows the whole way of a Pod on a real cluster.
package main

import (
	"os"

	"podtrail.dev/podtrail/cmd/podtrail/commands"
)

func main() {
	os.Exit(commands.Main(os.Args[0], os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
