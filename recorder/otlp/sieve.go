// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"container/list"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

const (
	// maxAge is how long a trace may wait for the span that says what it is about. The kubelet's syncPod ends after
	// all that is in it, and so comes last; the longest part of it is an image's pull.
	maxAge = 15 * time.Minute
	// rememberedTraces is of how many traces the verdict is remembered, for spans that come later from another
	// process. It costs about 100 bytes each.
	rememberedTraces = 8192
	// spanOverhead is what a waiting span costs beside its texts, in bytes.
	spanOverhead = 256
)

type traceID [traceIDBytes]byte

// verdict is what is known of a trace.
type verdict struct {
	wanted bool
	// pod is whom a wanted trace of a kubelet is about, nil for a request to the API server.
	pod *source.Subject
	// about has no time.
	about buffer.About
}

// waiting is a trace of which no span has said yet what it is about.
type waiting struct {
	id    traceID
	since time.Time
	spans []served
	bytes int64
}

// served is a span and the service that it came from.
type served struct {
	service string
	span    source.SpanData
}

// sieve keeps the spans of traces that a trail can need: an API request that writes an object which a trail follows,
// and what a kubelet and its container runtime do for a Pod. Spans come in any order and from several processes; a
// trace is judged by the first span that says what it is about, and later spans follow that verdict. It is not safe
// for concurrent use.
type sieve struct {
	limit int64
	kept  *evidence.Store

	pending map[traceID]*list.Element // of *waiting
	order   *list.List                // the oldest first
	bytes   int64

	verdicts map[traceID]verdict
	recent   []traceID // a ring
	next     int

	// ready are wanted spans by trace and service; flush keeps them.
	ready      map[readyKey][]source.SpanData
	readyOrder []readyKey
}

// readyKey: spans of one record come from one process.
type readyKey struct {
	id      traceID
	service string
}

func newSieve(limit int64, kept *evidence.Store) *sieve {
	return &sieve{
		limit: limit, kept: kept, pending: map[traceID]*list.Element{}, order: list.New(),
		verdicts: map[traceID]verdict{}, recent: make([]traceID, 0, rememberedTraces), ready: map[readyKey][]source.SpanData{},
	}
}

// offer takes one well-formed span.
func (s *sieve) offer(now time.Time, service string, span *tracev1.Span) {
	id := traceID(span.GetTraceId())
	known, judged := s.verdicts[id]
	if !judged {
		known, judged = judge(span, s.tells(id))
		if judged {
			s.settle(id, known)
		}
	}
	switch {
	case judged && !known.wanted, !source.ToldSpan(span.GetName()) && !isRequest(span):
		s.kept.Filtered(1)
	case judged:
		s.prepare(id, service, convert(span))
	default:
		s.wait(now, id, service, convert(span))
	}
}

// tells says whether a waiting trace has a span of its own to tell.
func (s *sieve) tells(id traceID) bool { return s.pending[id] != nil }

// isRequest says that the span is the API server's first of a request.
func isRequest(span *tracev1.Span) bool { return text(span.GetAttributes(), source.SpanTarget) != "" }

// judge says whether a trail can need the trace of this span, if the span tells that. A syncPod that only looks, as
// each kubelet does for each Pod about once a minute, is needed only if it did something that is waiting.
func judge(span *tracev1.Span, didSomething bool) (v verdict, judged bool) {
	if target := text(span.GetAttributes(), source.SpanTarget); target != "" {
		subject, _, ok := source.RequestTarget(target)
		about := buffer.About{Namespace: subject.Namespace}
		if subject.Kind == "Pod" {
			about.Pod = subject.Name
		}
		return verdict{wanted: ok && writes(span.GetName()), about: about}, true
	}
	if uid := text(span.GetAttributes(), source.SpanPodUID); uid != "" {
		pod := source.Subject{
			Kind: "Pod", UID: uid,
			Namespace: text(span.GetAttributes(), source.SpanPodNamespace), Name: text(span.GetAttributes(), source.SpanPodName),
		}
		idle := text(span.GetAttributes(), "k8s.pod.update_type") == "sync" && !didSomething && failure(span.GetStatus()) == ""
		return verdict{wanted: !idle, pod: &pod, about: buffer.About{Namespace: pod.Namespace, Pod: pod.Name}}, true
	}
	// The first span of a trace ends last, and this one is of nothing that a trail follows.
	return verdict{}, len(span.GetParentSpanId()) == 0 && !filters[span.GetName()]
}

// filters are the API server's handlers around a request that have spans of their own (TrackStarted in
// k8s.io/apiserver pkg/endpoints/filterlatency). For a member of system:masters "authentication" is the first span of the
// trace, yet ends before the one that tells what the request is about; others have that one begin a trace.
var filters = map[string]bool{"authentication": true, "audit": true, "impersonation": true, "priorityandfairness": true, "authorization": true}

// writes says whether the name of the API server's first span, "POST /api/v1/…", is that of a write.
func writes(name string) bool {
	method, _, _ := strings.Cut(name, " ")
	return method == "POST" || method == "PUT" || method == "PATCH" || method == "DELETE"
}

// settle remembers a verdict and lets the trace's waiting spans follow it.
func (s *sieve) settle(id traceID, v verdict) {
	if len(s.recent) < rememberedTraces {
		s.recent = append(s.recent, id)
	} else {
		delete(s.verdicts, s.recent[s.next])
		s.recent[s.next] = id
		s.next = (s.next + 1) % rememberedTraces
	}
	s.verdicts[id] = v
	element := s.pending[id]
	if element == nil {
		return
	}
	w := s.remove(element)
	if !v.wanted {
		s.kept.Filtered(len(w.spans))
		return
	}
	for _, of := range w.spans {
		s.prepare(id, of.service, of.span)
	}
}

// wait holds a span until its trace is judged, and lets the oldest traces go to hold the bound.
func (s *sieve) wait(now time.Time, id traceID, service string, span source.SpanData) {
	element := s.pending[id]
	if element == nil {
		element = s.order.PushBack(&waiting{id: id, since: now})
		s.pending[id] = element
	}
	w := element.Value.(*waiting)
	size := sizeOf(span)
	w.spans = append(w.spans, served{service, span})
	w.bytes += size
	s.bytes += size
	for s.bytes > s.limit {
		s.kept.Dropped(len(s.remove(s.order.Front()).spans))
	}
}

// expire lets the traces go that have waited too long.
func (s *sieve) expire(now time.Time) {
	for front := s.order.Front(); front != nil && now.Sub(front.Value.(*waiting).since) > maxAge; front = s.order.Front() {
		s.kept.Dropped(len(s.remove(front).spans))
	}
}

func (s *sieve) remove(element *list.Element) *waiting {
	w := s.order.Remove(element).(*waiting)
	delete(s.pending, w.id)
	s.bytes -= w.bytes
	return w
}

// prepare puts a wanted span to those of its trace that flush will keep.
func (s *sieve) prepare(id traceID, service string, span source.SpanData) {
	key := readyKey{id, service}
	if s.ready[key] == nil {
		s.readyOrder = append(s.readyOrder, key)
	}
	s.ready[key] = append(s.ready[key], span)
}

// flush keeps what a batch has made ready, one record for each trace.
func (s *sieve) flush() {
	for _, key := range s.readyOrder {
		spans, v := s.ready[key], s.verdicts[key.id]
		data, err := json.Marshal(source.Spans{Service: key.service, Trace: hex.EncodeToString(key.id[:]), Pod: v.pod, Spans: spans})
		if err != nil { // no text or time here can fail to be encoded
			s.kept.Malformed()
			continue
		}
		about := v.about
		about.Time = spans[0].Start
		s.kept.Keep(about, data)
	}
	clear(s.ready)
	s.readyOrder = s.readyOrder[:0]
}

func sizeOf(span source.SpanData) int64 {
	size := spanOverhead + len(span.Name) + len(span.Error)
	for key, value := range span.Attributes {
		size += len(key) + len(value) + 2*16
	}
	for _, event := range span.Events {
		size += spanOverhead/2 + len(event.Name)
	}
	return int64(size)
}
