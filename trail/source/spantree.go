// SPDX-License-Identifier: Apache-2.0

package source

import "time"

// SpanTree is one OpenTelemetry span that a part of podtrail made, with the spans that were begun inside of it in the
// same process. It is the Data of the records that telemetry/spans keeps; Record.Source says which part's.
type SpanTree struct {
	Name    string    `json:"name"`
	TraceID string    `json:"traceID"`
	SpanID  string    `json:"spanID"`
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	// Attributes holds what the span was given, by the names of telemetry/names: a string, a bool, a number, or a list
	// of one of these.
	Attributes map[string]any `json:"attributes,omitempty"`
	Events     []SpanEvent    `json:"events,omitempty"`
	// Children are in the order in which they ended.
	Children []SpanTree `json:"children,omitempty"`
	// Dropped counts the attributes, events and children that exceeded a bound and are not here.
	Dropped int `json:"dropped,omitempty"`
	// Error is why the span's work failed; empty if it did not.
	Error string `json:"error,omitempty"`
}

// SpanEvent is something that happened at one moment of a span.
type SpanEvent struct {
	Name       string         `json:"name"`
	Time       time.Time      `json:"time"`
	Attributes map[string]any `json:"attributes,omitempty"`
}
