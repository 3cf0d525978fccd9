// SPDX-License-Identifier: Apache-2.0

// Package faults runs a controller through an HTTP proxy that loses, delays and refuses what passes, and checks from
// the API server's own history that the controller never did what it must not do.
package faults

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// Call is what a request asks for.
type Call struct {
	// Verb is get, list, watch, create, update, patch or delete.
	Verb string
	// Resource is pods, owners or owners/status; empty for all else.
	Resource string
	Name     string
}

// isWrite reports whether the call changes a Pod or an owner. Events do not count.
func (c Call) isWrite() bool {
	return c.Resource != "" && !slices.Contains([]string{"get", "list", "watch"}, c.Verb)
}

// AnyWrite is the Verb of a fault that happens to every write, whatever its resource.
const AnyWrite = "any write"

// Fault is something that goes wrong with some of the calls.
type Fault struct {
	Verb, Resource string
	// Every is how many matching calls make one fault: 1 for each, 2 for the second, the fourth and so on.
	Every int
	// Times is how many faults there are at most; 0 for no bound.
	Times int
	Do    Action
}

func (f *Fault) matches(call Call) bool {
	if f.Verb == AnyWrite {
		return call.isWrite()
	}
	return f.Verb == call.Verb && f.Resource == call.Resource
}

// Action handles a call in another way than passing it on. It returns false if the connection is to be closed without
// an answer.
type Action func(p *Proxy, w http.ResponseWriter, r *http.Request) bool

// Proxy stands between a controller and the API server.
type Proxy struct {
	server    *httptest.Server
	target    *url.URL
	transport http.RoundTripper

	mu     sync.Mutex
	faults []*armed
	dead   bool
	// cut is closed to end all watches.
	cut chan struct{}
	// expired holds the resources whose next watch is refused, so that they are listed again.
	expired   map[string]bool
	lastWrite time.Time
	injected  int
	writes    []Call
}

type armed struct {
	Fault
	seen, done int
}

// NewProxy starts a proxy to the API server of cfg. Close it.
func NewProxy(cfg *rest.Config, faults ...Fault) (*Proxy, error) {
	target, err := url.Parse(cfg.Host)
	if err != nil {
		return nil, err
	}
	if target.Host == "" {
		target = &url.URL{Scheme: "https", Host: cfg.Host}
	}
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, transport: transport, cut: make(chan struct{}), expired: map[string]bool{}}
	for _, fault := range faults {
		p.faults = append(p.faults, &armed{Fault: fault})
	}
	p.server = httptest.NewServer(p)
	return p, nil
}

// Config is how a controller reaches the API server through the proxy.
func (p *Proxy) Config() *rest.Config { return &rest.Config{Host: p.server.URL, QPS: -1} }

// Close ends all connections.
func (p *Proxy) Close() {
	p.Kill()
	p.server.CloseClientConnections()
	p.server.Close()
}

// Kill cuts the controller off for good: nothing it sends arrives, nothing is answered any more.
func (p *Proxy) Kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.CutWatches()
}

// Clear ends all faults, and all watches, so that what was lost in them is listed again.
func (p *Proxy) Clear() {
	p.mu.Lock()
	p.faults = nil
	p.mu.Unlock()
	p.CutWatches()
}

// CutWatches ends the watches that are open.
func (p *Proxy) CutWatches() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.cut)
	p.cut = make(chan struct{})
}

// Quiet is for how long no write has come.
func (p *Proxy) Quiet() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.lastWrite)
}

// Counts returns how many faults happened and how many writes came.
func (p *Proxy) Counts() (injected, writes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.injected, len(p.writes)
}

// Writes returns the writes that came, in their order.
func (p *Proxy) Writes() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.writes)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := p.next(classify(r))
	if action == nil {
		action = passOn
	}
	if !action(p, w, r) {
		// This closes the connection without an answer.
		panic(http.ErrAbortHandler)
	}
}

// next counts the call and returns what is to go wrong with it, nil if nothing.
func (p *Proxy) next(call Call) Action {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return drop
	}
	if call.Verb == "watch" && p.expired[call.Resource] {
		delete(p.expired, call.Resource)
		return expire
	}
	if call.isWrite() {
		p.lastWrite = time.Now()
		p.writes = append(p.writes, call)
	}
	for _, fault := range p.faults {
		if !fault.matches(call) {
			continue
		}
		if fault.seen++; fault.seen%fault.Every != 0 || fault.Times > 0 && fault.done >= fault.Times {
			continue
		}
		fault.done++
		p.injected++
		return fault.Do
	}
	return nil
}

// expireNext refuses the next watch of a resource.
func (p *Proxy) expireNext(resource string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expired[resource] = true
}

func (p *Proxy) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// cutting is closed when the watches that are open now are to end.
func (p *Proxy) cutting() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut
}

// send passes the request on and returns the API server's answer.
func (p *Proxy) send(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host, out.RequestURI = p.target.Scheme, p.target.Host, p.target.Host, ""
	return p.transport.RoundTrip(out)
}

func passOn(p *Proxy, w http.ResponseWriter, r *http.Request) bool {
	return p.relay(w, r, func(frame []byte) ([]byte, bool) { return frame, true })
}

// frameFunc changes a frame of a watch; nil swallows it. It returns false to end the watch.
type frameFunc func(frame []byte) (changed []byte, goOn bool)

// relay passes the request on and the answer back. Of a watch, each frame goes through change.
func (p *Proxy) relay(w http.ResponseWriter, r *http.Request, change frameFunc) bool {
	cutting := p.cutting()
	resp, err := p.send(r)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	for key, values := range resp.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(resp.StatusCode)
	if classify(r).Verb != "watch" || resp.StatusCode != http.StatusOK {
		_, err := io.Copy(w, resp.Body)
		return err == nil && !p.isDead()
	}
	return relayWatch(w, resp, cutting, change)
}

// classify returns what a request asks for, from its path and method.
func classify(r *http.Request) Call {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	// /api/v1/... or /apis/GROUP/VERSION/...
	prefix := 2
	if parts[0] == "apis" {
		prefix = 3
	}
	parts = parts[min(prefix, len(parts)):]
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) == 0 || resources[parts[0]] == "" {
		return Call{}
	}
	call := Call{Resource: resources[parts[0]]}
	if len(parts) > 1 {
		call.Name = parts[1]
	}
	if len(parts) > 2 {
		call.Resource += "/" + parts[2]
	}
	call.Verb = verb(r, call.Name)
	return call
}

// resources maps what the faults are about to its name in a Call.
var resources = map[string]string{"pods": "pods", "teachingreplicasets": "owners", "replicasets": "owners"}

func verb(r *http.Request, name string) string {
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	watch := r.URL.Query().Get("watch")
	switch {
	case watch != "" && watch != "false":
		return "watch"
	case name != "":
		return "get"
	default:
		return "list"
	}
}
