// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"k8s.io/client-go/rest"
)

// TestRecordsAreOptional checks that without memory for records and without a collector the controller gets no tracer
// and requests go out as they are.
func TestRecordsAreOptional(t *testing.T) {
	tests := map[string]struct {
		bytes       int
		endpoint    string
		wantTracing bool
		wantKept    int
	}{
		"neither":             {},
		"memory":              {bytes: 1024, wantTracing: true, wantKept: 1},
		"a collector":         {endpoint: "http://127.0.0.1:4317", wantTracing: true},
		"memory and the same": {bytes: 1024, endpoint: "http://127.0.0.1:4317", wantTracing: true, wantKept: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", tc.endpoint)
			cfg := &rest.Config{}
			provider, kept, err := newTracing(t.Context(), cfg, options{reconcileRecords: tc.bytes})
			if err != nil {
				t.Fatal(err)
			}
			tracer, wrapped := provider.Tracer("controller") != nil, cfg.WrapTransport != nil
			if tracer != tc.wantTracing || wrapped != tc.wantTracing || len(kept) != tc.wantKept {
				t.Errorf("Tracer: %v, requests marked: %v, sources: %d; want %v, %v and %d",
					tracer, wrapped, len(kept), tc.wantTracing, tc.wantTracing, tc.wantKept)
			}
		})
	}
}
