// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// app greets, and reports the health that its flags and requests set.
type app struct {
	options     appOptions
	started     time.Time
	now         func() time.Time
	failingLive atomic.Bool
	// failingReady is what requests set. The app is also unready for unreadyFor after its start.
	failingReady atomic.Bool
}

func newApp(o appOptions, now func() time.Time) http.Handler {
	a := &app{options: o, now: now, started: now()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.greet)
	mux.HandleFunc("GET /healthz/live", a.live)
	mux.HandleFunc("GET /healthz/ready", a.ready)
	mux.HandleFunc("POST /fail/live", a.set(&a.failingLive, "liveness fails from now on; the kubelet will restart the container"))
	mux.HandleFunc("POST /fail/ready", a.set(&a.failingReady, "readiness fails from now on; POST /recover ends it"))
	mux.HandleFunc("POST /recover", a.recover)
	return mux
}

func (a *app) greet(w http.ResponseWriter, _ *http.Request) {
	say(w, "Hello from Pod %s on node %s", or(a.options.pod, "(POD_NAME is not set)"), or(a.options.node, "(NODE_NAME is not set)"))
}

func (a *app) live(w http.ResponseWriter, _ *http.Request) {
	if a.failingLive.Load() {
		http.Error(w, "failing: POST /fail/live was called", http.StatusInternalServerError)
		return
	}
	say(w, "ok")
}

func (a *app) ready(w http.ResponseWriter, _ *http.Request) {
	if left := a.options.unreadyFor - a.now().Sub(a.started); left > 0 {
		http.Error(w, fmt.Sprintf("not ready for another %s, as --unready-seconds asks", left.Round(time.Second)), http.StatusServiceUnavailable)
		return
	}
	if a.failingReady.Load() {
		http.Error(w, "failing: POST /fail/ready was called", http.StatusServiceUnavailable)
		return
	}
	say(w, "ok")
}

func (a *app) set(failing *atomic.Bool, answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		failing.Store(true)
		say(w, "%s", answer)
	}
}

func (a *app) recover(w http.ResponseWriter, _ *http.Request) {
	a.failingLive.Store(false)
	a.failingReady.Store(false)
	say(w, "live and ready")
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
