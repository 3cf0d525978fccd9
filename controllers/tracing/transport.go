// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/util/uuid"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"podtrail.dev/podtrail/telemetry/names"
)

type podKey struct{}

// AboutPod marks the requests made with the returned context as being about the Pod of that name. Outside a traced pass
// it returns ctx.
func AboutPod(ctx context.Context, name string) context.Context {
	if ctx.Value(passKey{}) == nil {
		return ctx
	}
	return context.WithValue(ctx, podKey{}, name)
}

// Transport gives every request of a pass an Audit-ID and a span, which ends when the headers of the response arrive.
// It passes other requests on unchanged.
func Transport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		pass, ok := req.Context().Value(passKey{}).(*Pass)
		if !ok {
			return next.RoundTrip(req)
		}
		id := string(uuid.NewUUID())
		attributes := make([]attribute.KeyValue, 0, 4)
		attributes = append(attributes, attribute.String(names.Method, req.Method),
			attribute.String(names.Path, req.URL.Path), attribute.String(names.AuditID, id))
		if pod, ok := req.Context().Value(podKey{}).(string); ok {
			attributes = append(attributes, attribute.String(names.RequestPod, pod))
		}
		ctx, span := pass.tracer.tracer.Start(req.Context(), req.Method, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithTimestamp(pass.tracer.clock.Now()), trace.WithAttributes(attributes...))
		// A RoundTripper must not modify the request.
		req = req.Clone(ctx)
		// The API server uses the client's Audit-ID, if there is one, in its audit log.
		req.Header.Set(auditv1.HeaderAuditID, id)
		resp, err := next.RoundTrip(req)
		switch {
		case err != nil:
			span.SetStatus(codes.Error, err.Error())
		default:
			span.SetAttributes(attribute.Int(names.Status, resp.StatusCode))
			if resp.StatusCode >= http.StatusBadRequest {
				span.SetStatus(codes.Error, http.StatusText(resp.StatusCode))
			}
		}
		span.End(trace.WithTimestamp(pass.tracer.clock.Now()))
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
