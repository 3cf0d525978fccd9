// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/recording"
)

func recordedTrail(t *testing.T, name string) trail.Trail {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "..", "docs", "recordings", name+".jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	header, records, err := recording.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	observations, _ := recording.Observe(records)
	found, ok := trail.Build(observations).Focus(header.Subject)
	if !ok {
		t.Fatalf("%s is not in the recording", header.Subject)
	}
	return found
}

func TestATrailIsOneTrace(t *testing.T) {
	got := recordedTrail(t, "deployment")
	kept := &keeping{}
	id, err := sendTo(t.Context(), kept, got, "test")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	roots := 0
	for _, span := range kept.spans {
		names[span.Name]++
		if span.SpanContext.TraceID().String() != id {
			t.Errorf("span %q is in another trace", span.Name)
		}
		if !span.Parent.IsValid() {
			roots++
			if took := span.EndTime.Sub(span.StartTime); took < got.Outcome.Took {
				t.Errorf("the trace takes %s, want at least the trail's %s", took, got.Outcome.Took)
			}
		}
		if span.EndTime.Before(span.StartTime) {
			t.Errorf("span %q ends before it starts", span.Name)
		}
	}
	if roots != 1 || names["trail of Deployment nginx-deployment"] != 1 || names["8 Schedule"] != 3 || names["9 Run"] != 3 {
		t.Errorf("%d roots, spans %v", roots, names)
	}
}

func TestACollectorThatIsAwayIsTold(t *testing.T) {
	broken := errors.New("nobody there")
	kept := &keeping{fail: broken}
	if _, err := sendTo(t.Context(), kept, recordedTrail(t, "refused"), ""); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if kept.asked != 1 {
		t.Errorf("asked %d times, want once", kept.asked)
	}
}

// keeping is an exporter that keeps what it gets.
type keeping struct {
	spans tracetest.SpanStubs
	asked int
	fail  error
}

func (k *keeping) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	k.asked++
	k.spans = append(k.spans, tracetest.SpanStubsFromReadOnlySpans(spans)...)
	return k.fail
}

func (k *keeping) Shutdown(context.Context) error { return nil }
