// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"podtrail.dev/podtrail/webhooks/certs"
)

// TestRecordsAreOptional checks that without memory for records neither requests nor the metrics endpoint know of
// them.
func TestRecordsAreOptional(t *testing.T) {
	for bytes, want := range map[int]bool{0: false, 1024: true} {
		o := options{reconcileRecords: bytes}
		cfg := &rest.Config{}
		kept := keepRecords(cfg, o)
		served := managerOptions(o, runtime.NewScheme(), certs.NewKeeper(o.certificates()), kept).Metrics.ExtraHandlers
		if (cfg.WrapTransport != nil) != want || (kept != nil) != want || (served["/v1/records"] != http.Handler(nil)) != want {
			t.Errorf("With %d bytes: transport wrapped %v, records kept %v, handlers %v; want %v",
				bytes, cfg.WrapTransport != nil, kept != nil, served, want)
		}
	}
}
