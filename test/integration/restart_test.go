// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/faults"
)

const (
	// restarts is a few; make test-faults makes 500.
	restarts = 50
	// failovers take up to 2 seconds each, because a standby looks at the Lease that often.
	failovers = 4
)

// TestRestarts checks that the controller stops on request, whatever it is doing.
func TestRestarts(t *testing.T) {
	result, err := faults.Restart(t.Context(), faults.Ours{Scheme: scheme}, restConfig, watchClient(t), newNamespace(t), restarts)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(result)
	for _, violation := range result.Violations {
		t.Error(violation)
	}
}

// TestFailover checks that another replica leads and writes soon after the leader was told to end, and prints how soon.
func TestFailover(t *testing.T) {
	namespace := newNamespace(t)
	electing := faults.Ours{Scheme: scheme, Configure: func(o *ctrl.Options) {
		// As cmd/manager sets them.
		o.LeaderElection, o.LeaderElectionID, o.LeaderElectionNamespace = true, "podtrail-manager", namespace
		o.LeaderElectionReleaseOnCancel = true
		o.GracefulShutdownTimeout = new(20 * time.Second)
	}}
	result, err := faults.FailOver(t.Context(), electing, restConfig, watchClient(t), namespace, failovers)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(result)
	for _, failover := range result {
		if failover.End >= faults.EndTimeout {
			t.Errorf("The leader had not ended %s after it was told to; the next one's first write came after %s",
				faults.EndTimeout, failover.FirstWrite)
		}
	}
}

func watchClient(t *testing.T) client.WithWatch {
	t.Helper()
	c, err := client.NewWithWatch(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatalf("Making a client that can watch: %v", err)
	}
	return c
}
