// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"flag"
	"testing"

	"podtrail.dev/podtrail/test/faults"
)

var restarts = flag.Int("restarts", 500, "how many times the controller is ended and started again")

// TestRestarts checks that our controller stops on request, whatever it is doing.
func TestRestarts(t *testing.T) {
	scheme := newScheme(t)
	silence(t)
	cfg, c := startControlPlane(t, scheme)
	namespace, err := newNamespace(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	result, err := faults.Restart(t.Context(), faults.Ours{Scheme: scheme}, cfg, c, namespace, *restarts)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(result)
	for _, violation := range result.Violations {
		t.Error(violation)
	}
}
