// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/attribute"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/telemetry/names"
	"podtrail.dev/podtrail/telemetry/spans"
)

var (
	testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	web     = types.NamespacedName{Namespace: "ns", Name: "web"}
)

// newTestTracer returns a Tracer, its clock, and a function that returns the spans made so far.
func newTestTracer(t *testing.T) (*Tracer, *clocktesting.FakePassiveClock, func() []spans.Tree) {
	t.Helper()
	keeper := spans.NewKeeper("test", 1<<20)
	provider, err := spans.New(t.Context(), spans.Options{Keep: keeper})
	if err != nil {
		t.Fatal(err)
	}
	clock := clocktesting.NewFakePassiveClock(testNow)
	return New("controller", provider.Tracer("controller"), clock), clock, func() (trees []spans.Tree) {
		t.Helper()
		for record := range keeper.Records(func(of buffer.About) bool { return of.Namespace == web.Namespace }) {
			var tree spans.Tree
			if err := json.Unmarshal(record.Data, &tree); err != nil {
				t.Fatal(err)
			}
			trees = append(trees, tree)
		}
		return trees
	}
}

func at(seconds int) time.Time { return testNow.Add(time.Duration(seconds) * time.Second) }

// ignoreIDs leaves out what is new in every run.
var ignoreIDs = cmpopts.IgnoreFields(spans.Tree{}, "TraceID", "SpanID")

// TestPassIsASpan checks that the span of a pass has all triggers that were merged into it, the notes and the result.
func TestPassIsASpan(t *testing.T) {
	tracer, clock, recorded := newTestTracer(t)
	for i := range maxTriggers + 3 {
		tracer.Trigger(web, func() Trigger { return Trigger{Event: "Added", Kind: "Pod", Name: fmt.Sprint(i)} })
	}
	clock.SetTime(at(2))
	_, pass := tracer.Start(t.Context(), web)
	tracer.Trigger(web, func() Trigger { return Trigger{Event: "Deleted", Kind: "Pod", Name: "x", ResourceVersion: "7"} })
	pass.Note(func() []attribute.KeyValue { return []attribute.KeyValue{attribute.Int(names.PlanDesired, 1)} })
	clock.SetTime(at(5))
	pass.End(errors.New("refused"), time.Minute)
	_, next := tracer.Start(t.Context(), web)
	next.End(nil, 0)

	got := recorded()
	if len(got) != 2 || len(got[0].Events) != maxTriggers {
		t.Fatalf("Records are %+v, want two, the first with %d events", got, maxTriggers)
	}
	if first := got[0].Events[0]; first.Name != names.EventTrigger || first.Attributes[names.TriggerName] != "0" || !first.Time.Equal(testNow) {
		t.Errorf("The first trigger is %+v", first)
	}
	got[0].Events = nil
	want := []spans.Tree{{
		Name: names.ReconcileSpan, Start: at(2), End: at(5), Error: "refused",
		Attributes: map[string]any{
			names.Controller: "controller", names.Namespace: "ns", names.OwnerName: "web", names.MoreTriggers: 3.0,
			names.QueueSeconds: 2.0, names.PlanDesired: 1.0, names.RequeueSeconds: 60.0,
		},
	}, {
		Name: names.ReconcileSpan, Start: at(5), End: at(5),
		Attributes: map[string]any{
			names.Controller: "controller", names.Namespace: "ns", names.OwnerName: "web", names.MoreTriggers: 0.0,
			names.QueueSeconds: 3.0,
		},
		Events: []spans.Event{{Name: names.EventTrigger, Time: at(2), Attributes: map[string]any{
			names.TriggerEvent: "Deleted", names.TriggerKind: "Pod", names.TriggerName: "x", names.TriggerResourceVersion: "7",
		}}},
	}}
	if diff := cmp.Diff(want, got, ignoreIDs); diff != "" {
		t.Errorf("Records differ (-want +got):\n%s", diff)
	}
	if len(tracer.triggers) != 0 {
		t.Errorf("Triggers of %d objects are kept after their passes", len(tracer.triggers))
	}
}

// TestRequestsAreSpansOfTheirPass checks that each request of a pass gets an Audit-ID of its own, and a span with its
// result.
func TestRequestsAreSpansOfTheirPass(t *testing.T) {
	tracer, _, recorded := newTestTracer(t)
	var sent []string
	transport := Transport(roundTripper(func(req *http.Request) (*http.Response, error) {
		sent = append(sent, req.Header.Get(auditv1.HeaderAuditID))
		switch req.Method {
		case http.MethodDelete:
			return nil, errors.New("connection reset")
		case http.MethodPut:
			return &http.Response{StatusCode: http.StatusConflict}, nil
		}
		return &http.Response{StatusCode: http.StatusCreated}, nil
	}))
	send := func(ctx context.Context, method string) {
		req := httptest.NewRequestWithContext(ctx, method, "/api/v1/pods?x=y", nil)
		resp, err := transport.RoundTrip(req)
		if err == nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		if req.Header.Get(auditv1.HeaderAuditID) != "" {
			t.Error("The caller's request was changed")
		}
	}
	ctx, pass := tracer.Start(t.Context(), web)
	send(AboutPod(ctx, "web-1"), http.MethodPost)
	send(ctx, http.MethodDelete)
	send(ctx, http.MethodPut)
	send(AboutPod(t.Context(), "web-2"), http.MethodGet)
	pass.End(nil, 0)

	request := func(method, audit, problem string, status any) spans.Tree {
		tree := spans.Tree{Name: method, Start: testNow, End: testNow, Error: problem, Attributes: map[string]any{
			names.Method: method, names.Path: "/api/v1/pods", names.AuditID: audit,
		}}
		if status != nil {
			tree.Attributes[names.Status] = status
		}
		return tree
	}
	want := []spans.Tree{
		request("POST", sent[0], "", 201.0),
		request("DELETE", sent[1], "connection reset", nil),
		request("PUT", sent[2], "Conflict", 409.0),
	}
	want[0].Attributes[names.RequestPod] = "web-1"
	if diff := cmp.Diff(want, recorded()[0].Children, ignoreIDs); diff != "" {
		t.Errorf("Requests differ (-want +got):\n%s", diff)
	}
	if sent[0] == "" || sent[0] == sent[1] || sent[3] != "" {
		t.Errorf("Audit-IDs sent are %q, want ones that differ and none for the request outside a pass", sent)
	}
}

// TestOff checks that without a tracer nothing happens and nothing is allocated.
func TestOff(t *testing.T) {
	tracer := New("controller", nil, nil)
	ctx := t.Context()
	allocations := testing.AllocsPerRun(100, func() {
		tracer.Trigger(web, func() Trigger { panic("made for nobody") })
		started, pass := tracer.Start(ctx, web)
		if AboutPod(started, "web-1") != ctx {
			t.Error("The context was changed")
		}
		pass.Note(func() []attribute.KeyValue { panic("noted for nobody") })
		pass.End(nil, 0)
	})
	if allocations != 0 {
		t.Errorf("Recording nothing allocates %v times for each pass", allocations)
	}
}
