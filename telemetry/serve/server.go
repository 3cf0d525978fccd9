// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"crypto/tls"

	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// Options returns the options of the one server that listens on the pod network: metrics and evidence beside each
// other, over TLS, each path behind Authenticated.
//
// The certificate is made at start-up, kept in memory and signed by nobody, because nobody has to verify it: the CLI
// comes through the API server's port-forward, so the API server (whose certificate the CLI verifies) and the
// kubelet vouch for the Pod at the other end, and the token vouches for the caller. TLS keeps the token from whoever
// can listen on the node's network. A scraper that connects directly has to skip verification, as it does for
// kube-controller-manager and kube-scheduler by default.
func Options(bindAddress, version string, sources ...Source) metricsserver.Options {
	return metricsserver.Options{
		BindAddress:    bindAddress,
		SecureServing:  true,
		ExtraHandlers:  Handlers(version, sources...),
		FilterProvider: Authenticated,
		TLSOpts:        []func(*tls.Config){hardened},
	}
}

// hardened allows TLS 1.3 only, and no HTTP/2: nothing here gains from it, and callers without any right could abuse
// its streams (CVE-2023-44487).
func hardened(config *tls.Config) {
	config.MinVersion = tls.VersionTLS13
	config.NextProtos = []string{"http/1.1"}
}
