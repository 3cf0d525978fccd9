// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"

	"podtrail.dev/podtrail/webhooks"
)

func handlers(t *testing.T) map[string]http.Handler {
	t.Helper()
	o, err := parseOptions([]string{"--sidecar-image=registry.example/proxy:1"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := webhooks.Handlers(o.webhooks())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// startWebhookServer runs the manager's webhook server without a cluster and returns its address.
func startWebhookServer(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	certificate := selfSigned(t)
	server := newWebhookServer(number, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil })
	for path, h := range handlers(t) {
		server.Register(path, h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); server.StartedChecker()(nil) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server did not start: %v", server.StartedChecker()(nil))
		}
	}
	return address
}

func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// watchMemory returns a function that returns by how much, at most, the memory in use has grown since. It counts what
// waits for the garbage collector as well, of the test's own requests too.
func watchMemory(t *testing.T) (growth func() uint64) {
	t.Helper()
	inUse := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	read := func() (total uint64) {
		metrics.Read(inUse)
		for _, sample := range inUse {
			total += sample.Value.Uint64()
		}
		return total
	}
	runtime.GC()
	before := read()
	stop, most := make(chan struct{}), make(chan uint64, 1)
	go func() {
		peak := before
		for {
			select {
			case <-stop:
				most <- peak
				return
			case <-time.After(time.Millisecond):
				peak = max(peak, read())
			}
		}
	}()
	return func() uint64 {
		close(stop)
		peak := <-most
		t.Logf("memory in use: %d MiB before, %d MiB at most", before>>20, peak>>20)
		return peak - before
	}
}
