// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"podtrail.dev/podtrail/controllers"
	"podtrail.dev/podtrail/controllers/tracing"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/telemetry/spans"
	"podtrail.dev/podtrail/test/wrappers"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// TestReconcileRecords checks that the records tell why each Pod was made, under the Audit-IDs that the API server
// has used, in the form that trail/source reads.
func TestReconcileRecords(t *testing.T) {
	namespace := newNamespace(t)
	used := &auditIDs{}
	cfg := rest.CopyConfig(restConfig)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return tracing.Transport(used.observe(next))
	})
	keeper := spans.NewKeeper(source.Reconcile, 1<<20)
	provider, err := spans.New(t.Context(), spans.Options{Service: "test", Keep: keeper})
	if err != nil {
		t.Fatal(err)
	}
	runController(t, cfg, namespace, controllers.Options{Tracer: provider.Tracer(controllers.Name)})
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(2).Obj()
	create(t.Context(), t, owner)
	pods := awaitPods(t, owner, 2)

	await(t, "a record of the pass that made the Pods", func(context.Context) error {
		for record := range keeper.Records(func(of buffer.About) bool { return of.Namespace == namespace }) {
			observations, err := source.Parse(record)
			if err != nil {
				return err
			}
			if len(observations) == 3 && strings.Contains(observations[0].Summary, "wants 2 and counts 0: creates 2") {
				return checkCreation(observations, string(owner.UID), []string{pods[0].Name, pods[1].Name}, used)
			}
		}
		return fmt.Errorf("none of %d records has it", keeper.Status().Kept)
	})
}

// checkCreation looks at what one record says of the owner and of its two Pods.
func checkCreation(observations []trail.Observation, uid string, pods []string, used *auditIDs) error {
	owner := observations[0]
	if owner.Subject.UID != uid {
		return fmt.Errorf("the record is about %+v, want UID %s", owner.Subject, uid)
	}
	for _, want := range []string{"added: TeachingReplicaSet web", pods[0], pods[1]} {
		if !strings.Contains(fmt.Sprint(owner.Facts), want) {
			return fmt.Errorf("the facts %v lack %q", owner.Facts, want)
		}
	}
	for _, o := range observations[1:] {
		if !used.has(o.Keys.AuditID) {
			return fmt.Errorf("the API server used another Audit-ID than %q for %s", o.Keys.AuditID, o.Subject.Name)
		}
		if o.Subject.Name != pods[0] && o.Subject.Name != pods[1] {
			return fmt.Errorf("%s was asked for; the Pods are %v", o.Subject.Name, pods)
		}
	}
	return nil
}

// auditIDs holds the Audit-IDs that the API server said it used.
type auditIDs struct {
	seen sync.Map
}

func (a *auditIDs) has(id string) bool {
	_, ok := a.seen.Load(id)
	return ok
}

func (a *auditIDs) observe(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil {
			a.seen.Store(resp.Header.Get("Audit-Id"), true)
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
