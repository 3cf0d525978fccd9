// SPDX-License-Identifier: Apache-2.0

// Command bench measures the TeachingReplicaSet controller beside Kubernetes' own ReplicaSet controller, on one API
// server and etcd, and prints Markdown tables. hack/bench-controller.sh builds what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

type options struct {
	manager, upstream, assets, crds string
	rounds, stockRounds             int
	cells                           []cell
	timeout                         time.Duration
}

// errUsage marks wrong flags: exit code 2.
var errUsage = errors.New("wrong use of bench-controller")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Ctrl-C also ends what the output is piped to. Writing to it must then fail and not end this process, which still
	// has an API server to stop.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench-controller:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (o options, err error) {
	var names []string
	for _, c := range cells {
		names = append(names, c.name)
	}
	flags := flag.NewFlagSet("bench-controller", flag.ContinueOnError)
	flags.StringVar(&o.manager, "manager", "", "program of cmd/manager")
	flags.StringVar(&o.upstream, "upstream", "", "program of test/upstream/bench/replicaset")
	flags.StringVar(&o.assets, "assets", "", "folder of kube-apiserver and etcd")
	flags.StringVar(&o.crds, "crds", "", "folder of the CustomResourceDefinitions")
	flags.IntVar(&o.rounds, "rounds", 3, "how often each cell is measured")
	flags.IntVar(&o.stockRounds, "stock-rounds", -1, "how often with upstream's stock limit, which takes minutes for each cell; -1: as -rounds")
	chosen := flags.String("cells", strings.Join(names, ","), "which cells to measure")
	flags.DurationVar(&o.timeout, "timeout", 20*time.Minute, "how long one wait may take")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if o.cells, err = chooseCells(*chosen); err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if o.stockRounds < 0 {
		o.stockRounds = o.rounds
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
	case o.timeout <= 0:
		return fmt.Errorf("-timeout is %s: give more than 0", o.timeout)
	case o.manager == "" || o.upstream == "" || o.assets == "" || o.crds == "":
		return errors.New("-manager, -upstream, -assets and -crds are needed: use hack/bench-controller.sh, which gives them")
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
	p, err := plane.Start(ctx, o.assets, o.crds, scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	b := &bench{plane: p, timeout: o.timeout}
	results, err := b.all(ctx, o, sides(o.manager, o.upstream, port))
	if len(results) > 0 {
		fmt.Printf("%s on %s/%s, %d processors, %s to %s. Medians of %d rounds (%q: %d).\n\n", runtime.Version(), runtime.GOOS,
			runtime.GOARCH, runtime.NumCPU(), results[0].at.UTC().Format(time.DateTime), time.Now().UTC().Format(time.DateTime),
			o.rounds, stock, o.stockRounds)
		printTables(os.Stdout, results)
	}
	return err
}
