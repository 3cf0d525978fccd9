// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// statusClientGone counts requests whose client disconnected before the app answered. It is nginx's code for them.
const statusClientGone = 499

// headerTimeout bounds how long the proxy waits for the headers of the app's answer.
const headerTimeout = 30 * time.Second

// stats is the answer to GET /podtrail/stats.
type stats struct {
	// Target is the app's address.
	Target string `json:"target"`
	// Requests counts the forwarded requests by the status code of their answer.
	Requests map[string]int `json:"requests"`
	// Total is the sum of Requests.
	Total int `json:"total"`
}

// proxy forwards to the app and counts.
type proxy struct {
	target string
	mu     sync.Mutex
	counts map[string]int
}

func newProxy(target string) http.Handler {
	p := &proxy{target: target, counts: map[string]int{}}
	transport := &http.Transport{ResponseHeaderTimeout: headerTimeout, MaxIdleConnsPerHost: 16, IdleConnTimeout: 60 * time.Second}
	forward := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: target})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ModifyResponse: func(r *http.Response) error {
			p.count(r.StatusCode)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				p.count(statusClientGone)
				return
			}
			p.count(http.StatusBadGateway)
			http.Error(w, fmt.Sprintf("podtrail-proxy: the app at %s did not answer: %v", target, err), http.StatusBadGateway)
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /podtrail/healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, "ok") })
	mux.HandleFunc("GET /podtrail/stats", p.stats)
	mux.Handle("/", forward)
	return mux
}

func (p *proxy) count(code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[strconv.Itoa(code)]++
}

func (p *proxy) stats(w http.ResponseWriter, _ *http.Request) {
	s := stats{Target: p.target, Requests: map[string]int{}}
	p.mu.Lock()
	for code, n := range p.counts {
		s.Requests[code] = n
		s.Total += n
	}
	p.mu.Unlock()
	body, err := json.Marshal(s)
	if err != nil {
		http.Error(w, fmt.Sprintf("podtrail-proxy: encoding the statistics: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// An error means that the client disconnected, so it cannot be reported.
	_, _ = w.Write(append(body, '\n'))
}
