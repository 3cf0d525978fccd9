// SPDX-License-Identifier: Apache-2.0

package spans

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/telemetry/names"
	"podtrail.dev/podtrail/trail/source"
)

var testNow = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// newTestTracer returns a tracer whose spans go to a keeper of that many bytes.
func newTestTracer(t *testing.T, limit int64) (trace.Tracer, *Keeper) {
	t.Helper()
	keeper := NewKeeper("test", limit)
	provider, err := New(t.Context(), Options{Service: "service", Keep: keeper})
	if err != nil {
		t.Fatal(err)
	}
	return provider.Tracer("tracer"), keeper
}

// kept returns what the keeper holds for a namespace, or for all if it is empty.
func kept(t *testing.T, k *Keeper, namespace string) []source.SpanTree {
	t.Helper()
	var trees []source.SpanTree
	for record := range k.Records(func(of buffer.About) bool { return namespace == "" || of.Namespace == namespace }) {
		var tree source.SpanTree
		if err := json.Unmarshal(record.Data, &tree); err != nil || record.Source != "test" {
			t.Fatalf("Record %s of source %q: %v", record.Data, record.Source, err)
		}
		trees = append(trees, tree)
	}
	return trees
}

func in(namespace string) trace.SpanStartOption {
	return trace.WithAttributes(attribute.String(names.Namespace, namespace))
}

// TestSpansAreKeptInsideOfTheirParents checks that a span with all it caused is one record.
func TestSpansAreKeptInsideOfTheirParents(t *testing.T) {
	tracer, keeper := newTestTracer(t, 1<<20)
	at := func(seconds int) trace.SpanEventOption {
		return trace.WithTimestamp(testNow.Add(time.Duration(seconds) * time.Second))
	}
	ctx, root := tracer.Start(t.Context(), "root", in("ns"), at(0))
	inner, child := tracer.Start(ctx, "child", at(1))
	_, grandchild := tracer.Start(inner, "grandchild", at(2))
	grandchild.SetAttributes(attribute.StringSlice("names", []string{"a", "b"}), attribute.Int("count", 3))
	grandchild.End(at(3))
	child.SetStatus(codes.Error, "refused")
	child.End(at(4))
	root.AddEvent("chosen", trace.WithAttributes(attribute.String("pod", "web-1")), at(5))
	if held := kept(t, keeper, ""); len(held) != 0 {
		t.Fatalf("%d records are kept before the outermost span has ended", len(held))
	}
	root.End(at(6))

	second := func(n int) time.Time { return testNow.Add(time.Duration(n) * time.Second) }
	want := []source.SpanTree{{
		Name: "root", Start: second(0), End: second(6), Attributes: map[string]any{names.Namespace: "ns"},
		Events: []source.SpanEvent{{Name: "chosen", Time: second(5), Attributes: map[string]any{"pod": "web-1"}}},
		Children: []source.SpanTree{{
			Name: "child", Start: second(1), End: second(4), Error: "refused",
			Children: []source.SpanTree{{
				Name: "grandchild", Start: second(2), End: second(3),
				Attributes: map[string]any{"names": []any{"a", "b"}, "count": 3.0},
			}},
		}},
	}}
	got := kept(t, keeper, "ns")
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(source.SpanTree{}, "TraceID", "SpanID")); diff != "" {
		t.Errorf("Kept differs (-want +got):\n%s", diff)
	}
	if got[0].TraceID != got[0].Children[0].TraceID || got[0].SpanID == got[0].Children[0].SpanID || got[0].SpanID == "" {
		t.Errorf("The ids are %+v", got[0])
	}
	if other := kept(t, keeper, "other"); len(other) != 0 {
		t.Errorf("Another namespace gets %+v", other)
	}
}

// TestSpansWithoutAnOpenParentAreRecords covers a parent in another process and one that ended too early.
func TestSpansWithoutAnOpenParentAreRecords(t *testing.T) {
	tracer, keeper := newTestTracer(t, 1<<20)
	remote := trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
	_, fromRemote := tracer.Start(remote, "from another process", in("ns"))
	fromRemote.End()
	ctx, root := tracer.Start(t.Context(), "root", in("ns"))
	_, late := tracer.Start(ctx, "late", in("ns"))
	root.End()
	late.End()

	var got []string
	for _, tree := range kept(t, keeper, "ns") {
		got = append(got, tree.Name)
	}
	if diff := cmp.Diff([]string{"from another process", "root", "late"}, got); diff != "" {
		t.Errorf("Records differ (-want +got):\n%s", diff)
	}
	if len(keeper.open) != 0 {
		t.Errorf("The keeper waits for %d spans that have ended", len(keeper.open))
	}
}

// TestKeeperIsBounded checks each bound: bytes of all records, children of one span, and what JSON cannot say.
func TestKeeperIsBounded(t *testing.T) {
	const limit = 4000
	tracer, keeper := newTestTracer(t, limit)
	for range 100 {
		_, span := tracer.Start(t.Context(), "span")
		span.End()
	}
	status := keeper.Status()
	if status.Kept == 0 || status.Kept+int(status.Dropped) != 100 || status.KeptBytes > limit || status.Source != "test" {
		t.Errorf("100 spans in %d bytes leave %+v", limit, status)
	}

	tracer, keeper = newTestTracer(t, 10<<20)
	ctx, root := tracer.Start(t.Context(), "root")
	for range maxChildren + 5 {
		_, child := tracer.Start(ctx, "child")
		child.End()
	}
	root.End()
	if got := kept(t, keeper, ""); len(got) != 1 || len(got[0].Children) != maxChildren || got[0].Dropped != 5 {
		t.Errorf("%d records, the first with %d children and %d dropped; want 1, %d and 5",
			len(got), len(got[0].Children), got[0].Dropped, maxChildren)
	}

	_, odd := tracer.Start(t.Context(), "odd", trace.WithAttributes(attribute.Float64("share", math.NaN())))
	odd.End()
	if status := keeper.Status(); status.Kept != 1 || status.Malformed != 1 {
		t.Errorf("A span that JSON cannot say leaves %+v, want it counted as malformed", status)
	}
}

// TestNothingToReportTo checks that a part that is to report nowhere gets no tracer, and so makes no spans.
func TestNothingToReportTo(t *testing.T) {
	t.Setenv(endpointVariable, "")
	t.Setenv(tracesEndpointVariable, "")
	provider, err := New(context.Background(), Options{Service: "service"})
	if provider != nil || err != nil || provider.Tracer("tracer") != nil {
		t.Errorf("New gives %v, %v; want nothing", provider, err)
	}
}

func TestOtherProtocolsAreRefused(t *testing.T) {
	t.Setenv(endpointVariable, "http://127.0.0.1:4318")
	t.Setenv(protocolVariable, "http/protobuf")
	_, err := New(t.Context(), Options{Service: "service"})
	if err == nil || !strings.Contains(err.Error(), `OTEL_EXPORTER_OTLP_PROTOCOL is "http/protobuf"`) {
		t.Errorf("Error is %v, want one that names the variable and its value", err)
	}
}
