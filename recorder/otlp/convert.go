// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"podtrail.dev/podtrail/trail/source"
)

const (
	traceIDBytes = 16
	spanIDBytes  = 8
	// maxUnixNano is the last time that an int64 of nanoseconds holds, in the year 2262.
	maxUnixNano = 1<<63 - 1
	// maxText bounds one attribute or error text, in bytes. The API server cuts its Audit-IDs at 64, a path has at
	// most a few hundred.
	maxText = 1024
	// maxEvents bounds the events of one span; the API server's handlers write at most a dozen.
	maxEvents = 32
)

// kept are the attributes that a trail reads. It says what to keep, so that no body, query or header that some
// library puts on a span is ever kept.
var kept = map[string]bool{
	source.SpanAuditID: true, source.SpanTarget: true, "accept": true, "network.protocol.version": true,
	"http.response.status_code": true, "key": true, "type": true, "webhook": true, "configuration": true, "UID": true,
	source.SpanPodUID: true, source.SpanPodName: true, source.SpanPodNamespace: true, "k8s.pod.update_type": true,
	"sandbox.id": true, "container.id": true, "container.name": true, "image.ref": true, "container.image.ref": true,
	"netns.path": true, "runtime.handler": true, "task.pid": true, "task.process.id": true,
}

// convert takes of a span what a trail can need.
func convert(span *tracev1.Span) source.SpanData {
	start := time.Unix(0, int64(span.GetStartTimeUnixNano())).UTC() //nolint:gosec // wellFormed bounds it
	data := source.SpanData{
		Name: short(span.GetName()), ID: hex.EncodeToString(span.GetSpanId()), Parent: hex.EncodeToString(span.GetParentSpanId()),
		Start: start, Took: time.Duration(span.GetEndTimeUnixNano() - span.GetStartTimeUnixNano()), //nolint:gosec // wellFormed bounds it
		Attributes: attributes(span.GetAttributes(), kept),
		Error:      failure(span.GetStatus()),
	}
	for _, event := range span.GetEvents() {
		if len(data.Events) == maxEvents {
			break
		}
		at := event.GetTimeUnixNano()
		if event.GetName() == "exception" || at < span.GetStartTimeUnixNano() || at > span.GetEndTimeUnixNano() {
			continue
		}
		data.Events = append(data.Events, source.SpanMark{
			Name: short(event.GetName()), After: time.Duration(at - span.GetStartTimeUnixNano()), //nolint:gosec // within the span
			Attributes: attributes(event.GetAttributes(), map[string]bool{"len": true}),
		})
	}
	return data
}

func attributes(all []*commonv1.KeyValue, wanted map[string]bool) map[string]string {
	var out map[string]string
	for _, attribute := range all {
		if !wanted[attribute.GetKey()] {
			continue
		}
		value := short(words(attribute.GetValue()))
		if value == "" {
			continue
		}
		if attribute.GetKey() == source.SpanTarget {
			value, _, _ = strings.Cut(value, "?") // a query holds what a person typed, such as a command to exec
		}
		if out == nil {
			out = map[string]string{}
		}
		out[attribute.GetKey()] = value
	}
	return out
}

// text returns an attribute in words, "" if it is not there.
func text(all []*commonv1.KeyValue, key string) string {
	for _, attribute := range all {
		if attribute.GetKey() == key {
			return short(words(attribute.GetValue()))
		}
	}
	return ""
}

func words(value *commonv1.AnyValue) string {
	switch value := value.GetValue().(type) {
	case *commonv1.AnyValue_StringValue:
		return value.StringValue
	case *commonv1.AnyValue_IntValue:
		return strconv.FormatInt(value.IntValue, 10)
	case *commonv1.AnyValue_BoolValue:
		return strconv.FormatBool(value.BoolValue)
	}
	return ""
}

// short bounds a text without cutting a character in two.
func short(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "")
}

func failure(status *tracev1.Status) string {
	if status.GetCode() != tracev1.Status_STATUS_CODE_ERROR {
		return ""
	}
	if message := short(status.GetMessage()); message != "" {
		return message
	}
	return "error"
}
