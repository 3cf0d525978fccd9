// SPDX-License-Identifier: Apache-2.0

// Command scheduler measures schedulers beside each other on one API server and
// etcd, with nodes that are objects only, and prints Markdown tables.
// hack/bench-scheduler.sh builds what it needs.
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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"podtrail.dev/podtrail/test/upstream/bench/plane"
)

// clientQPS is every scheduler's limit of requests per second and of a burst: out
// of the way. Upstream's default of 50 would be all that is measured.
const clientQPS = 5000

type options struct {
	programs, assets, crds string
	rounds                 int
	cells                  []cell
	sides                  []side
	timeout                time.Duration
}

// errUsage marks wrong flags: exit code 2.
var errUsage = errors.New("wrong use of bench-scheduler")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench-scheduler:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (o options, err error) {
	sides, err := allSides()
	if err != nil {
		return o, err
	}
	flags := flag.NewFlagSet("bench-scheduler", flag.ContinueOnError)
	flags.StringVar(&o.programs, "programs", "", "folder of the sides' programs")
	flags.StringVar(&o.assets, "assets", "", "folder of kube-apiserver and etcd")
	flags.StringVar(&o.crds, "crds", "", "folder of the CustomResourceDefinitions")
	flags.IntVar(&o.rounds, "rounds", 3, "how often each side is measured in each cell")
	chosenCells := flags.String("cells", joined(cells, func(c cell) string { return c.name }, ","), "which cells to measure")
	chosenSides := flags.String("sides", joined(sides, func(s side) string { return s.name }, ";"), "which sides to measure, with ; between them")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long placing the Pods of a cell may take")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	var errs []error
	o.cells, err = choose(cells, func(c cell) string { return c.name }, *chosenCells, ",")
	errs = append(errs, err)
	o.sides, err = choose(sides, func(s side) string { return s.name }, *chosenSides, ";")
	errs = append(errs, err)
	switch {
	case flags.NArg() > 0:
		errs = append(errs, fmt.Errorf("unknown argument %q: only flags are accepted, see -help", flags.Arg(0)))
	case o.rounds < 1:
		errs = append(errs, fmt.Errorf("-rounds is %d: give 1 or more", o.rounds))
	case o.timeout <= 0:
		errs = append(errs, fmt.Errorf("-timeout is %s: give more than 0", o.timeout))
	case o.programs == "" || o.assets == "" || o.crds == "":
		errs = append(errs, errors.New("-programs, -assets and -crds are needed: use hack/bench-scheduler.sh, which gives them"))
	}
	if err := errors.Join(errs...); err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	return o, nil
}

func joined[T any](all []T, name func(T) string, separator string) string {
	var names []string
	for _, one := range all {
		names = append(names, name(one))
	}
	return strings.Join(names, separator)
}

func choose[T any](all []T, name func(T) string, names, separator string) ([]T, error) {
	var chosen []T
	for _, wanted := range strings.Split(names, separator) {
		i := slices.IndexFunc(all, func(one T) bool { return name(one) == wanted })
		if i < 0 {
			return nil, fmt.Errorf("unknown %q: there are %s", wanted, joined(all, name, separator))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
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
	fmt.Fprintln(os.Stderr, "Starting kube-apiserver and etcd")
	p, err := plane.Start(ctx, o.assets, o.crds, scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	b := &bench{plane: p, scratch: scratch, timeout: o.timeout, programs: map[string]string{}}
	for _, s := range o.sides {
		b.programs[s.program] = filepath.Join(o.programs, s.program)
	}
	begin := time.Now().UTC()
	results, err := b.all(ctx, o)
	if len(results) > 0 {
		fmt.Printf("%s on %s/%s, %d processors, %s to %s. Medians of %d rounds.\n\n", runtime.Version(), runtime.GOOS,
			runtime.GOARCH, runtime.NumCPU(), begin.Format(time.DateTime), time.Now().UTC().Format(time.DateTime), o.rounds)
		printTables(os.Stdout, results)
	}
	return err
}
