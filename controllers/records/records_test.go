// SPDX-License-Identifier: Apache-2.0

package records

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

var (
	testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	web     = types.NamespacedName{Namespace: "ns", Name: "web"}
)

// serve asks the buffer and returns the status and the records.
func serve(t *testing.T, b *Buffer, method, target string) (int, []Record) {
	t.Helper()
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, nil))
	if w.Code != http.StatusOK {
		return w.Code, nil
	}
	var records []Record
	for line := range strings.Lines(w.Body.String()) {
		var s served
		var r Record
		if err := errors.Join(json.Unmarshal([]byte(line), &s), json.Unmarshal(s.Data, &r)); err != nil || s.Source != Source {
			t.Fatalf("Line %q: source %q, error %v", line, s.Source, err)
		}
		records = append(records, r)
	}
	return w.Code, records
}

func TestRecord(t *testing.T) {
	c := clocktesting.NewFakePassiveClock(testNow)
	b := NewBuffer("controller", 1<<20, c)
	for i := range maxTriggers + 3 {
		b.Trigger(web, func() Trigger { return Trigger{Event: "Added", Kind: "Pod", Name: fmt.Sprint(i)} })
	}
	c.SetTime(testNow.Add(2 * time.Second))
	pass := b.Start(web)
	b.Trigger(web, func() Trigger { return Trigger{Name: "for the next pass"} })
	pass.Note(func(r *Record) { r.Plan = &Plan{Desired: 1} })
	c.SetTime(testNow.Add(5 * time.Second))
	pass.End(errors.New("refused"), time.Minute)

	_, got := serve(t, b, http.MethodGet, "/v1/records")
	if len(got) != 1 || len(got[0].Triggers) != maxTriggers || got[0].Triggers[0].Name != "0" {
		t.Fatalf("Records are %+v, want one with %d triggers, the first first", got, maxTriggers)
	}
	got[0].Triggers = nil
	want := []Record{{
		Controller: "controller", Namespace: "ns", Name: "web", MoreTriggers: 3, QueueSeconds: 2,
		Start: testNow.Add(2 * time.Second), Seconds: 3, Plan: &Plan{Desired: 1}, Error: "refused", RequeueSeconds: 60,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Records differ (-want +got):\n%s", diff)
	}
	if next := b.Start(web); len(next.record.Triggers) != 1 {
		t.Errorf("The next pass has the triggers %v, want the one that came during the first", next.record.Triggers)
	}
}

// TestBound checks that the newest records stay within the bound of bytes.
func TestBound(t *testing.T) {
	const maxBytes = 2000
	b := NewBuffer("controller", maxBytes, clocktesting.NewFakePassiveClock(testNow))
	for i := range 100 {
		b.Start(types.NamespacedName{Namespace: "ns", Name: fmt.Sprint(i)}).End(nil, 0)
	}
	_, got := serve(t, b, http.MethodGet, "/v1/records")
	if len(got) == 0 || len(got) == 100 || got[len(got)-1].Name != "99" || b.bytes > maxBytes {
		t.Errorf("%d records in %d bytes, want the newest ones within %d", len(got), b.bytes, maxBytes)
	}
	huge := b.Start(web)
	huge.Note(func(r *Record) { r.Error = strings.Repeat("x", maxBytes) })
	huge.End(nil, 0)
	if _, after := serve(t, b, http.MethodGet, "/v1/records"); len(after) != len(got) {
		t.Errorf("A record larger than the bound left %d of %d records", len(after), len(got))
	}
}

func TestServe(t *testing.T) {
	b := NewBuffer("controller", 1<<20, clocktesting.NewFakePassiveClock(testNow))
	b.Start(web).End(nil, 0)
	b.Start(types.NamespacedName{Namespace: "other", Name: "web"}).End(nil, 0)
	tests := map[string]struct {
		method, target string
		wantCode       int
		wantRecords    int
	}{
		"all":                  {http.MethodGet, "/v1/records", http.StatusOK, 2},
		"of a namespace":       {http.MethodGet, "/v1/records?namespace=ns&source=reconcile", http.StatusOK, 1},
		"of an empty one":      {http.MethodGet, "/v1/records?namespace=none", http.StatusOK, 0},
		"of another source":    {http.MethodGet, "/v1/records?source=audit", http.StatusBadRequest, 0},
		"an unknown parameter": {http.MethodGet, "/v1/records?name=web", http.StatusBadRequest, 0},
		"not by GET":           {http.MethodPost, "/v1/records", http.StatusMethodNotAllowed, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if code, got := serve(t, b, tc.method, tc.target); code != tc.wantCode || len(got) != tc.wantRecords {
				t.Errorf("Got status %d with %d records, want %d with %d", code, len(got), tc.wantCode, tc.wantRecords)
			}
		})
	}
}

func TestTransport(t *testing.T) {
	b := NewBuffer("controller", 1<<20, clocktesting.NewFakePassiveClock(testNow))
	var sent []string
	transport := Transport(roundTripper(func(req *http.Request) (*http.Response, error) {
		sent = append(sent, req.Header.Get(auditIDHeader))
		if req.Method == http.MethodDelete {
			return nil, errors.New("connection reset")
		}
		return &http.Response{StatusCode: http.StatusCreated}, nil
	}))
	send := func(ctx context.Context, method string) {
		req := httptest.NewRequestWithContext(ctx, method, "/api/v1/pods?x=y", nil)
		resp, err := transport.RoundTrip(req)
		if err == nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		if req.Header.Get(auditIDHeader) != "" {
			t.Error("The caller's request was changed")
		}
	}
	pass := b.Start(web)
	send(pass.Context(t.Context()), http.MethodPost)
	send(pass.Context(t.Context()), http.MethodDelete)
	send(t.Context(), http.MethodGet)
	want := []Request{
		{Method: "POST", URI: "/api/v1/pods?x=y", AuditID: sent[0], At: testNow, Code: 201},
		{Method: "DELETE", URI: "/api/v1/pods?x=y", AuditID: sent[1], At: testNow, Error: "connection reset"},
	}
	if diff := cmp.Diff(want, pass.record.Requests); diff != "" {
		t.Errorf("Requests differ (-want +got):\n%s", diff)
	}
	if sent[0] == "" || sent[0] == sent[1] || sent[2] != "" {
		t.Errorf("Audit-IDs sent are %q, want two that differ and none for the request outside a pass", sent)
	}
	for range maxRequests {
		send(pass.Context(t.Context()), http.MethodPost)
	}
	if got := len(pass.record.Requests); got != maxRequests || pass.record.MoreRequests != 2 {
		t.Errorf("%d requests are named and %d counted, want %d and 2", got, pass.record.MoreRequests, maxRequests)
	}
}

// TestOff checks that without a buffer nothing is done and nothing is allocated.
func TestOff(t *testing.T) {
	var b *Buffer
	ctx := t.Context()
	allocations := testing.AllocsPerRun(100, func() {
		b.Trigger(web, func() Trigger { panic("made for nobody") })
		pass := b.Start(web)
		if pass.Context(ctx) != ctx {
			t.Error("The context was changed")
		}
		pass.Note(func(*Record) { panic("noted for nobody") })
		pass.End(nil, 0)
	})
	if allocations != 0 {
		t.Errorf("Keeping no records allocates %v times for each pass", allocations)
	}
}
