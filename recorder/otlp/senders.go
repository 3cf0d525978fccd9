// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/stats"

	"podtrail.dev/podtrail/trail/source"
)

const (
	// maxSenders bounds how many names are remembered; whoever comes after that is counted as others.
	maxSenders = 16
	// maxSenderName bounds one name, in bytes.
	maxSenderName = 64

	unnamedSender = "(unnamed)"
	otherSenders  = "(others)"
)

// senders counts what arrives by the service that sent it, before any of it is left out. It is safe for concurrent use.
type senders struct {
	mu     sync.Mutex
	byName map[string]*source.Sender
}

func newSenders() *senders { return &senders{byName: map[string]*source.Sender{}} }

// sent counts spans of a service. The context is that of the call, which knows its connection.
func (s *senders) sent(ctx context.Context, service string, spans int, now time.Time) {
	if spans == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sender := s.named(service)
	sender.Spans += int64(spans)
	sender.Last = now.UTC()
	if sender.First.IsZero() {
		sender.First = sender.Last
	}
	if of, ok := ctx.Value(connectionKey{}).(*connection); ok && !of.senders[sender] {
		of.senders[sender] = true
		sender.Connections++
		sender.Disconnected = time.Time{}
	}
}

func (s *senders) named(service string) *source.Sender {
	if service == "" {
		service = unnamedSender
	}
	if len(service) > maxSenderName {
		service = service[:maxSenderName]
	}
	if s.byName[service] == nil && len(s.byName) >= maxSenders {
		service = otherSenders
	}
	if s.byName[service] == nil {
		s.byName[service] = &source.Sender{Name: service}
	}
	return s.byName[service]
}

// ended takes a connection from those who sent over it.
func (s *senders) ended(c *connection, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sender := range c.senders {
		if sender.Connections--; sender.Connections == 0 {
			sender.Disconnected = now.UTC()
		}
	}
	clear(c.senders)
}

// list returns the senders by name.
func (s *senders) list() []source.Sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]source.Sender, 0, len(s.byName))
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		out = append(out, *s.byName[name])
	}
	return out
}

// connection is one that an exporter has made, with those who sent over it.
type connection struct{ senders map[*source.Sender]bool }

type connectionKey struct{}

// connections tells the senders when a connection ends. It is a stats.Handler of gRPC: the context of each call is made of
// the one that TagConn returns.
type connections struct {
	of  *senders
	now func() time.Time
}

// TagConn is part of stats.Handler.
func (c connections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{senders: map[*source.Sender]bool{}})
}

// HandleConn is part of stats.Handler.
func (c connections) HandleConn(ctx context.Context, s stats.ConnStats) {
	if _, end := s.(*stats.ConnEnd); !end {
		return
	}
	if of, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.of.ended(of, c.now())
	}
}

// TagRPC is part of stats.Handler.
func (c connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC is part of stats.Handler.
func (c connections) HandleRPC(context.Context, stats.RPCStats) {}
