// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strings"
	"time"

	"podtrail.dev/podtrail/trail"
)

// Attributes of spans that say what a trace is about.
const (
	// SpanAuditID is on the API server's spans: WithTracing in k8s.io/apiserver pkg/endpoints/filters/traces.go.
	SpanAuditID = "audit-id"
	// SpanTarget is the request's path on the API server's first span; the recorder has cut its query off.
	SpanTarget = "http.target"
	// SpanMethod is the HTTP method on that span.
	SpanMethod = "http.request.method"
	// SpanPodUID, SpanPodName and SpanPodNamespace are on the kubelet's syncPod: pkg/kubelet/kubelet.go.
	SpanPodUID       = "k8s.pod.uid"
	SpanPodName      = "k8s.pod.name"
	SpanPodNamespace = "k8s.namespace.name"
)

// Spans are spans of one trace, as they came together. Spans of the same trace that came later are another record.
type Spans struct {
	// Service is the resource's service.name.
	Service string `json:"service"`
	Trace   string `json:"trace"`
	// Pod is the Pod that a trace of a kubelet names; nil for a trace of the API server.
	Pod   *trail.Subject `json:"pod,omitempty"`
	Spans []SpanData     `json:"spans"`
}

// SpanData is one OpenTelemetry span, without what no trail needs.
type SpanData struct {
	Name string `json:"name"`
	// ID and Parent are in hexadecimal; Parent is empty for the first span of a trace.
	ID         string            `json:"id"`
	Parent     string            `json:"parent,omitempty"`
	Start      time.Time         `json:"start"`
	Took       time.Duration     `json:"tookNs"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Events     []SpanMark        `json:"events,omitempty"`
	// Error is the status' message, "error" if the span failed without one.
	Error string `json:"error,omitempty"`
}

// SpanMark is what a span noted on its way.
type SpanMark struct {
	Name string `json:"name"`
	// After is the time since the span's start.
	After      time.Duration     `json:"afterNs"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// event finds the first event of that name.
func (s SpanData) event(name string) (SpanMark, bool) {
	for _, event := range s.Events {
		if event.Name == name {
			return event, true
		}
	}
	return SpanMark{}, false
}

// ParseSpan turns the spans of one trace into observations: those of an API request into stages Submit, Authorize,
// Mutate, Validate and Persist of the write with the same Audit-ID, those of a kubelet and its container runtime into
// stage Run of the Pod whose UID the trace holds. Spans that say nothing of their own give none.
func ParseSpan(record Record) ([]trail.Observation, error) {
	spans, err := decode[Spans](record)
	if err != nil {
		return nil, err
	}
	if spans.Trace == "" || len(spans.Spans) == 0 {
		return nil, fmt.Errorf("span record of node %q has trace %q and %d spans, want both", record.Node, spans.Trace, len(spans.Spans))
	}
	if spans.Pod != nil {
		return runSpans(spans, record.Node), nil
	}
	return requestSpans(spans, record.Node), nil
}

// observe starts an observation that a span is the evidence of.
func (s Spans) observe(node string, span SpanData, subject trail.Subject, stage trail.Stage) trail.Observation {
	return trail.Observation{
		Subject: subject, Stage: stage, Time: span.Start, Duration: span.Took,
		Keys:     trail.Keys{Trace: s.Trace, Span: span.ID, Parent: span.Parent},
		Sender:   s.Service,
		Evidence: trail.Evidence{Source: trail.SourceSpan, Node: node, ID: s.Trace + "/" + span.ID},
	}
}

// RequestTarget reads namespace, kind, name and subresource from a path of the API, as
// k8s.io/apiserver/pkg/endpoints/request.RequestInfoFactory does; false if no trail follows such objects.
func RequestTarget(path string) (subject trail.Subject, subresource string, ok bool) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1], parts[3:]
	default:
		return trail.Subject{}, "", false
	}
	if len(parts) < 3 || parts[0] != "namespaces" {
		return trail.Subject{}, "", false
	}
	kind := kinds[group+"/"+parts[2]]
	if kind == "" {
		return trail.Subject{}, "", false
	}
	subject = trail.Subject{Kind: kind, Namespace: parts[1]}
	if len(parts) > 3 {
		subject.Name = parts[3]
	}
	if len(parts) > 4 {
		subresource = parts[4]
	}
	return subject, subresource, true
}

// requestSpans reads the trace of a request to the API server; of several, if a privileged client put them into one.
func requestSpans(spans Spans, node string) []trail.Observation {
	byID, only := map[string]SpanData{}, ""
	requests := map[string]*requestTrace{}
	for _, span := range spans.Spans {
		byID[span.ID] = span
		subject, _, ok := RequestTarget(span.Attributes[SpanTarget])
		if ok && span.Attributes[SpanAuditID] != "" {
			only = span.ID
			requests[span.ID] = &requestTrace{spans: spans, node: node, auditID: span.Attributes[SpanAuditID], subject: subject}
		}
	}
	// Spans between may be missing, because they tell nothing; in a trace of one request that leaves no doubt.
	of := func(span SpanData) *requestTrace {
		if len(requests) == 1 {
			return requests[only]
		}
		return requests[firstOfRequest(span, byID)]
	}
	for _, span := range spans.Spans {
		if r := of(span); r != nil {
			r.learnName(span)
		}
	}
	var out []trail.Observation
	for _, span := range spans.Spans {
		if r := of(span); r != nil {
			if o, ok := r.observe(endAtHandler(span, spans.Spans)); ok {
				out = append(out, o)
			}
		}
	}
	return out
}

// endAtHandler ends the span of the authorization where the handler's begins. The API server ends it with the whole
// request: a filter calls what comes after it (trackStarted in pkg/endpoints/filterlatency/filterlatency.go).
func endAtHandler(span SpanData, all []SpanData) SpanData {
	if stageOf(span.Name) != trail.Authorize {
		return span
	}
	for _, other := range all {
		if other.Parent == span.ID {
			span.Took = max(0, min(span.Took, other.Start.Sub(span.Start)))
		}
	}
	return span
}

// firstOfRequest goes up from a span to the first of its request, and returns that one's id, "" if it is not there.
func firstOfRequest(span SpanData, byID map[string]SpanData) string {
	for range len(byID) + 1 { // a ring of spans ends
		if span.Attributes[SpanTarget] != "" {
			return span.ID
		}
		above, ok := byID[span.Parent]
		if !ok {
			return ""
		}
		span = above
	}
	return ""
}

// requestTrace is the trace of one request.
type requestTrace struct {
	spans   Spans
	node    string
	auditID string
	subject trail.Subject
}

// learnName takes the name that the API server gave: the last part of the key, if one was written.
func (r *requestTrace) learnName(span SpanData) {
	if key := span.Attributes["key"]; key != "" && r.subject.Name == "" {
		r.subject.Name = key[strings.LastIndexByte(key, '/')+1:]
	}
}

// observe tells what one span of the request says.
func (r *requestTrace) observe(span SpanData) (trail.Observation, bool) {
	stage, summary, facts := describe(span)
	if stage == 0 {
		return trail.Observation{}, false
	}
	o := r.spans.observe(r.node, span, r.subject, stage)
	o.Keys.AuditID = r.auditID
	o.Summary = summary
	if span.Error != "" {
		facts = append(facts, trail.Fact{Key: "error", Value: span.Error})
	}
	o.Facts = known(append(facts, trail.Fact{Key: trail.FactTook, Value: took(span.Took)})...)
	return o, true
}

// stageOf is the stage that an API server's span is evidence of, by its name; 0 if it tells nothing of its own. The
// names are those in k8s.io/apiserver: pkg/endpoints/handlers, pkg/endpoints/filters, pkg/admission/plugin/webhook,
// pkg/storage/etcd3/store.go.
func stageOf(name string) trail.Stage {
	switch name {
	case "Create", "Update", "Patch", "Delete":
		return trail.Submit
	case "authorization":
		return trail.Authorize
	case "Call mutating webhook":
		return trail.Mutate
	case "Call validating webhook":
		return trail.Validate
	case "Create etcd3", "GuaranteedUpdate etcd3", "etcdserverpb.KV/Txn":
		return trail.Persist
	}
	return 0
}

// describe says which stage a span belongs to and what it tells.
func describe(span SpanData) (trail.Stage, string, []trail.Fact) {
	if span.Attributes[SpanTarget] != "" {
		return trail.Submit, "the API server worked on it for " + took(span.Took), []trail.Fact{
			{Key: "request", Value: span.Name}, {Key: "protocol", Value: span.Attributes["network.protocol.version"]},
		}
	}
	stage := stageOf(span.Name)
	switch {
	case stage == trail.Submit:
		body, _ := span.event("limitedReadBody succeeded")
		return stage, "its handler " + span.Name + " took " + took(span.Took), []trail.Fact{
			{Key: "body as sent", Value: withUnit(body.Attributes["len"], " B")},
			{Key: "accepted answer", Value: span.Attributes["accept"]},
		}
	case stage == trail.Authorize:
		return stage, "decided in " + took(span.Took), nil
	case stage == trail.Mutate, stage == trail.Validate:
		return stage, webhookWords(span), webhookFacts(span)
	case strings.HasSuffix(span.Name, " etcd3"):
		return stage, storeWords(span), storeFacts(span)
	case stage == trail.Persist:
		return stage, "etcd's transaction took " + took(span.Took), nil
	}
	return 0, "", nil
}

func webhookWords(span SpanData) string {
	verb := "answered"
	if span.Error != "" {
		verb = "failed"
	}
	return "webhook " + span.Attributes["webhook"] + " " + verb + " in " + took(span.Took)
}

func webhookFacts(span SpanData) []trail.Fact {
	return []trail.Fact{
		{Key: trail.FactWebhook, Value: span.Attributes["webhook"]},
		{Key: "configuration", Value: span.Attributes["configuration"]},
		{Key: "admission request UID", Value: span.Attributes["UID"]},
	}
}

func storeWords(span SpanData) string {
	words := strings.TrimSuffix(span.Name, " etcd3") + " in the store took " + took(span.Took)
	if encoded, ok := span.event("Encode succeeded"); ok && encoded.Attributes["len"] != "" {
		words += ", " + encoded.Attributes["len"] + " B encoded"
	}
	return words
}

// storeFacts tell the steps of Create and GuaranteedUpdate in pkg/storage/etcd3/store.go by their events.
func storeFacts(span SpanData) []trail.Fact {
	facts := []trail.Fact{{Key: trail.FactEtcdKey, Value: span.Attributes["key"]}, {Key: "type", Value: span.Attributes["type"]}}
	begun := time.Duration(0)
	for _, event := range span.Events {
		facts = append(facts, trail.Fact{Key: event.Name, Value: "after " + took(event.After-begun)})
		begun = event.After
	}
	return facts
}

// withUnit adds a unit to a number that may be unknown.
func withUnit(number, unit string) string {
	if number == "" {
		return ""
	}
	return number + unit
}

// took writes a duration with three digits at most.
func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 100*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
