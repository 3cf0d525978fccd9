// SPDX-License-Identifier: Apache-2.0

// Command sampleapp is what the samples run: a small web server whose health checks can be made to fail and, with the
// argument "proxy", the sidecar that the mutating webhook injects.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// drainTimeout bounds how long requests in flight may take after SIGTERM. The default grace period is 30 s.
const drainTimeout = 10 * time.Second

// version is set by the linker (-X main.version=...).
var version = "dev"

// exitError ends the process with a chosen code, for samples that crash.
type exitError struct{ code int }

func (e exitError) Error() string {
	return fmt.Sprintf("exiting with code %d, as --exit-code asks", e.code)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	var exit exitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exit.code)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run starts the app or the proxy and serves until the context ends.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	if len(args) > 0 && args[0] == "proxy" {
		o, err := parseProxyOptions(args[1:], out)
		if err != nil {
			return err
		}
		sayVersion(out)
		return serve(ctx, o.listen, newProxy(o.target), out)
	}
	o, err := parseAppOptions(args, getenv, out)
	if err != nil {
		return err
	}
	sayVersion(out)
	if o.exitCode >= 0 {
		return exitError{o.exitCode}
	}
	return serve(ctx, o.listen, newApp(o, time.Now), out)
}

// serve answers until the context ends, then lets requests in flight finish.
func serve(ctx context.Context, address string, handler http.Handler, out io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 60 * time.Second}
	say(out, "listening on %s", listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving on %s: %w", address, err)
	case <-ctx.Done():
	}
	say(out, "stopping: requests in flight have %s", drainTimeout)
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return fmt.Errorf("waiting for requests in flight: %w", err)
	}
	return nil
}

func sayVersion(out io.Writer) { say(out, "sampleapp %s", version) }

// say writes one line. It ignores errors: the app keeps running if nobody reads its output.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}
