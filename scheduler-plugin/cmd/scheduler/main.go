// SPDX-License-Identifier: Apache-2.0

// Command scheduler is the kube-scheduler of Kubernetes 1.36 with this project's plugins registered. Flags,
// configuration and endpoints are upstream's (k8s.io/kubernetes/cmd/kube-scheduler), except two flags and one endpoint
// for the recorded decisions.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// version is podtrail's, set by the linker (-X main.version=...). What --version prints is Kubernetes'.
var version = "dev"

func main() {
	os.Exit(cli.Run(newCommand()))
}
