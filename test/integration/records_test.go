// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"podtrail.dev/podtrail/controllers"
	"podtrail.dev/podtrail/controllers/records"
	"podtrail.dev/podtrail/test/wrappers"
)

// TestReconcileRecords checks that the records tell why each Pod was made, under the Audit-IDs that the API server
// has used.
func TestReconcileRecords(t *testing.T) {
	namespace := newNamespace(t)
	used := &auditIDs{}
	cfg := rest.CopyConfig(restConfig)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return records.Transport(used.observe(next))
	})
	buffer := records.NewBuffer(controllers.Name, 1<<20, clock.RealClock{})
	runController(t, cfg, namespace, controllers.Options{Records: buffer})
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(2).Obj()
	create(t.Context(), t, owner)
	pods := awaitPods(t, owner, 2)

	await(t, "a record of the pass that made the Pods", func(context.Context) error {
		kept, err := fetchRecords(buffer, namespace)
		if err != nil {
			return err
		}
		for _, record := range kept {
			if record.Plan == nil || len(record.Plan.Create) != 2 {
				continue
			}
			return checkCreation(record, []string{pods[0].Name, pods[1].Name}, used)
		}
		return fmt.Errorf("none of %d records has it", len(kept))
	})
}

func checkCreation(record records.Record, pods []string, used *auditIDs) error {
	if len(record.Triggers) == 0 || record.Triggers[0].Kind != "TeachingReplicaSet" || record.Triggers[0].Event != "Added" {
		return fmt.Errorf("the triggers are %v", record.Triggers)
	}
	posts := 0
	for _, request := range record.Requests {
		if !used.has(request.AuditID) {
			return fmt.Errorf("the API server used another Audit-ID than %s for %s %s", request.AuditID, request.Method, request.URI)
		}
		if request.Method == http.MethodPost && request.Code == http.StatusCreated {
			posts++
		}
	}
	planned := strings.Join(record.Plan.Create, " ")
	for _, pod := range pods {
		if !strings.Contains(planned, pod) {
			return fmt.Errorf("the plan creates %s, not %s", planned, pod)
		}
	}
	if posts != 2 {
		return fmt.Errorf("%d Pods were made by %v", posts, record.Requests)
	}
	return nil
}

func fetchRecords(buffer *records.Buffer, namespace string) ([]records.Record, error) {
	w := httptest.NewRecorder()
	buffer.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/v1/records?namespace="+namespace, nil))
	var kept []records.Record
	for line := range strings.Lines(w.Body.String()) {
		var served struct{ Data records.Record }
		if err := json.Unmarshal([]byte(line), &served); err != nil {
			return nil, fmt.Errorf("parsing %q: %w", line, err)
		}
		kept = append(kept, served.Data)
	}
	return kept, nil
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
