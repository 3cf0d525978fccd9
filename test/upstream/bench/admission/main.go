// SPDX-License-Identifier: Apache-2.0

// Command admission measures what admission adds to the creation of a Pod, on one API server and etcd: nothing of
// ours, the webhooks of config/webhook, the policies of config/policy. It prints Markdown tables.
// hack/bench-admission.sh builds what it needs.
//
// The API server reaches the webhooks by a Service, so it speaks HTTP/1.1 to them as in a cluster, and the manager
// offers nothing else; to a loopback URL it would speak HTTP/2 (k8s.io/apiserver, pkg/util/webhook/client.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

type options struct {
	manager, assets, config string
	rounds                  int
	concurrent              []int
	duration, pause         time.Duration
}

// errUsage marks wrong flags: exit code 2.
var errUsage = errors.New("wrong use of bench-admission")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// As in bench-controller: a closed pipe must not end this process before it has stopped the API server.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench-admission:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench-admission", flag.ContinueOnError)
	flags.StringVar(&o.manager, "manager", "", "program of cmd/manager")
	flags.StringVar(&o.assets, "assets", "", "folder of kube-apiserver and etcd")
	flags.StringVar(&o.config, "config", "", "the folder config of this repository")
	flags.IntVar(&o.rounds, "rounds", 3, "how often each side is measured")
	flags.DurationVar(&o.duration, "duration", 4*time.Second, "how long each side is measured each time")
	flags.DurationVar(&o.pause, "pause", 0, "how long each sender waits after each answer; 0 saturates the machine, which then measures processor time")
	concurrent := flags.String("concurrent", "1,8,32", "how many requests are sent at once")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	for text := range strings.SplitSeq(*concurrent, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return o, fmt.Errorf("%w: -concurrent has %q: give numbers from 1, separated by commas", errUsage, text)
		}
		o.concurrent = append(o.concurrent, n)
	}
	if err := o.validate(flags.Args()); err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	return o, nil
}

// validate checks what the flag types can't; rest is what was given besides flags.
func (o options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unknown argument %q: only flags are accepted, see -help", rest[0])
	case o.rounds < 1:
		return fmt.Errorf("-rounds is %d: give 1 or more", o.rounds)
	case o.duration <= 0:
		return fmt.Errorf("-duration is %s: give more than 0", o.duration)
	case o.pause < 0:
		return fmt.Errorf("-pause is %s: give 0 or more", o.pause)
	case o.manager == "" || o.assets == "" || o.config == "":
		return errors.New("-manager, -assets and -config are needed: use hack/bench-admission.sh, which gives them")
	}
	return nil
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard())
	scratch, err := os.MkdirTemp("", "podtrail-bench-")
	if err != nil {
		return fmt.Errorf("making a folder for logs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	port, err := plane.FreePort(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "Starting kube-apiserver and etcd")
	p, err := plane.Start(ctx, o.assets, filepath.Join(o.config, "crd", "bases"), scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	manager, err := p.Run(ctx, o.manager, "--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=0",
		fmt.Sprintf("--webhook-port=%d", port), "--sidecar-image=registry.example/proxy:1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, manager.Stop()) }()
	board, err := newSwitchboard(ctx, p.Client, o.config, port)
	if err != nil {
		return err
	}
	defer board.empty.stop()
	begin := time.Now()
	results, err := (&bench{board: board, manager: manager, options: o}).all(ctx)
	if len(results) > 0 {
		fmt.Printf("%s on %s/%s, %d processors, %s to %s. Medians of %d rounds of %s; pause after each answer: %s.\n\n", runtime.Version(), runtime.GOOS,
			runtime.GOARCH, runtime.NumCPU(), begin.UTC().Format(time.DateTime), time.Now().UTC().Format(time.DateTime), o.rounds, o.duration, o.pause)
		printTables(os.Stdout, results)
	}
	return err
}
