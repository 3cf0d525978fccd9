// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"fmt"
	"slices"
	"time"
)

// The senders of spans that a trail is made of, by their service.name.
const (
	SenderAPIServer = "apiserver"  // apiserverService in k8s.io/apiserver pkg/server/options/tracing.go
	SenderKubelet   = "kubelet"    // ComponentKubelet in pkg/kubelet/server/server.go
	SenderRuntime   = "containerd" // OTEL_SERVICE_NAME in config/kind/node/containerd.service.d
)

const (
	// SilentAfter is how long a sender that is connected may send nothing. All three always have something to tell: each
	// kubelet asks its runtime for the Pods' states once a second, syncs each Pod every 60 to 90 s and renews its Lease
	// every 10 s, and each of these is a span of the one who asks and of the one who answers.
	SilentAfter = 3 * time.Minute
	// DisconnectedAfter is how long a sender may be without a connection: exporters keep theirs.
	DisconnectedAfter = 30 * time.Second
	// ExportDelay is how old a span may be when it arrives. OpenTelemetry's exporters send every 5 s, and have 10 s for it.
	ExportDelay = 15 * time.Second
	// Reconnect is how long an exporter that could not connect may wait before it tries again (gRPC's longest backoff).
	Reconnect = 2 * time.Minute
)

// Sender is a service that sends spans to a recorder. Times are of the clock of the recorder's node.
type Sender struct {
	// Name is its service.name.
	Name string `json:"name"`
	// Spans counts what it sent, before any of it was left out.
	Spans int64 `json:"spans"`
	// First and Last are when spans of it arrived first and last.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Connections counts those open now over which it has sent; Disconnected is when the last one ended, zero while one is
	// open.
	Connections  int       `json:"connections"`
	Disconnected time.Time `json:"disconnected,omitzero"`
}

// Listening is what one node's recorder knew of who sends spans when the evidence was read. All times are of that node's
// clock.
type Listening struct {
	Node string
	// Now is when it said so, Since from when on it keeps spans.
	Now, Since time.Time
	Senders    []Sender
}

// Find returns the sender of that name, nil if it has sent nothing.
func (l Listening) Find(name string) *Sender {
	i := slices.IndexFunc(l.Senders, func(s Sender) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &l.Senders[i]
}

// Lack says why a sender does not deliver, as the end of a sentence about it; "" if it does.
func (l Listening) Lack(name string) string {
	sender := l.Find(name)
	switch {
	case sender == nil:
		return "has sent nothing yet"
	case !sender.Disconnected.IsZero() && l.Now.Sub(sender.Disconnected) > DisconnectedAfter:
		return fmt.Sprintf("has had no connection for %s, its last span came at %s", ago(l.Now, sender.Disconnected), clock(sender.Last))
	case l.Now.Sub(sender.Last) > SilentAfter:
		return fmt.Sprintf("has sent nothing for %s, its last span came at %s", ago(l.Now, sender.Last), clock(sender.Last))
	}
	return ""
}

// SenderTitle is what people call a sender.
func SenderTitle(name string) string {
	if name == SenderAPIServer {
		return "kube-apiserver"
	}
	return name
}

func ago(now, then time.Time) string { return now.Sub(then).Round(time.Second).String() }

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
