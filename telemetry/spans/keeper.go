// SPDX-License-Identifier: Apache-2.0

package spans

import (
	"context"
	"encoding/json"
	"iter"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/telemetry/names"
	"podtrail.dev/podtrail/trail/source"
)

// Tree is what a record of a Keeper holds, by a name for the parts that know no package of the trail.
type Tree = source.SpanTree

// Event is one of a Tree's events.
type Event = source.SpanEvent

// maxChildren bounds the spans that are kept inside of one span; the others are counted.
const maxChildren = 2048

// Keeper holds finished spans as source.Records, the oldest of which go first when it is full. A span is kept inside
// of the one that it was begun in, as a source.SpanTree; one that was begun in no other is a record. The record
// belongs to the namespace in the outermost span's attribute names.Namespace.
//
// It is a processor for a provider and a source for telemetry/serve. It is safe for concurrent use.
type Keeper struct {
	source    string
	kept      *buffer.Buffer
	malformed atomic.Int64

	mu sync.Mutex
	// open holds the children that have ended of each span that has not.
	open map[trace.SpanID]*children
}

type children struct {
	spans   []source.SpanTree
	dropped int
}

var _ sdktrace.SpanProcessor = (*Keeper)(nil)

// NewKeeper returns an empty one. Its records name sourceName, and take at most limit bytes.
func NewKeeper(sourceName string, limit int64) *Keeper {
	return &Keeper{source: sourceName, kept: buffer.New(limit), open: map[trace.SpanID]*children{}}
}

// OnStart is part of sdktrace.SpanProcessor.
func (k *Keeper) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open[s.SpanContext().SpanID()] = &children{}
}

// OnEnd is part of sdktrace.SpanProcessor.
func (k *Keeper) OnEnd(s sdktrace.ReadOnlySpan) {
	tree := newTree(s)
	if k.joinParent(s, &tree) {
		return
	}
	data, err := json.Marshal(tree)
	if err != nil { // a NaN among the attributes
		k.malformed.Add(1)
		return
	}
	namespace, _ := tree.Attributes[names.Namespace].(string)
	k.kept.Add(buffer.Entry{About: buffer.About{Namespace: namespace, Time: tree.Start}, Data: data})
}

// joinParent gives the tree its children, and the tree to its parent. It reports false if the parent is in another
// process, has ended before, or is none.
func (k *Keeper) joinParent(s sdktrace.ReadOnlySpan, tree *source.SpanTree) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := s.SpanContext().SpanID()
	if own := k.open[id]; own != nil {
		tree.Children = own.spans
		tree.Dropped += own.dropped
		delete(k.open, id)
	}
	parent := k.open[s.Parent().SpanID()]
	if parent == nil {
		return false
	}
	if len(parent.spans) == maxChildren {
		parent.dropped++
	} else {
		parent.spans = append(parent.spans, *tree)
	}
	return true
}

func newTree(s sdktrace.ReadOnlySpan) source.SpanTree {
	tree := source.SpanTree{
		Name:       s.Name(),
		TraceID:    s.SpanContext().TraceID().String(),
		SpanID:     s.SpanContext().SpanID().String(),
		Start:      s.StartTime().UTC(),
		End:        s.EndTime().UTC(),
		Attributes: values(s.Attributes()),
		Dropped:    s.DroppedAttributes() + s.DroppedEvents(),
	}
	if s.Status().Code == codes.Error {
		tree.Error = s.Status().Description
	}
	for _, event := range s.Events() {
		tree.Events = append(tree.Events, source.SpanEvent{
			Name: event.Name, Time: event.Time.UTC(), Attributes: values(event.Attributes),
		})
		tree.Dropped += event.DroppedAttributeCount
	}
	return tree
}

func values(attributes []attribute.KeyValue) map[string]any {
	if len(attributes) == 0 {
		return nil
	}
	byName := make(map[string]any, len(attributes))
	for _, a := range attributes {
		byName[string(a.Key)] = a.Value.AsInterface()
	}
	return byName
}

// ForceFlush is part of sdktrace.SpanProcessor; nothing waits here.
func (k *Keeper) ForceFlush(context.Context) error { return nil }

// Shutdown is part of sdktrace.SpanProcessor; what is kept can still be read.
func (k *Keeper) Shutdown(context.Context) error { return nil }

// Status says what is held.
func (k *Keeper) Status() source.Status {
	stats := k.kept.Stats()
	return source.Status{
		Source: k.source, Since: stats.Since,
		Kept: stats.Kept, KeptBytes: stats.Bytes, Dropped: stats.Dropped, Malformed: k.malformed.Load(),
	}
}

// Records yields the records that match accepts, the oldest first.
func (k *Keeper) Records(match buffer.Match) iter.Seq[source.Record] {
	return func(yield func(source.Record) bool) {
		for entry := range k.kept.Entries(match) {
			if !yield(source.Record{Source: k.source, Data: entry.Data}) {
				return
			}
		}
	}
}
