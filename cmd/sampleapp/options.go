// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// errUsage marks wrong flags: exit code 2.
var errUsage = errors.New("wrong use of sampleapp")

type appOptions struct {
	listen string
	// unreadyFor is how long readiness fails after the start.
	unreadyFor time.Duration
	// exitCode, unless it is negative, is the code with which the process exits at once.
	exitCode int
	// pod and node, from the downward API, are in the greeting.
	pod, node string
}

// parseAppOptions parses the flags. Their defaults are environment variables, which are easier to set with
// "kubectl set env".
func parseAppOptions(args []string, getenv func(string) string, out io.Writer) (appOptions, error) {
	o := appOptions{pod: getenv("POD_NAME"), node: getenv("NODE_NAME")}
	unready, err := intFrom(getenv, "UNREADY_SECONDS", 0)
	if err != nil {
		return o, err
	}
	exitCode, err := intFrom(getenv, "EXIT_CODE", -1)
	if err != nil {
		return o, err
	}
	fs := flag.NewFlagSet("sampleapp", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&o.listen, "listen", ":8080", "address to listen on")
	fs.IntVar(&unready, "unready-seconds", unready, "stay unready for so many seconds after the start ($UNREADY_SECONDS)")
	fs.IntVar(&o.exitCode, "exit-code", exitCode, "exit at once with this code, 0 to 255; negative: don't ($EXIT_CODE)")
	if err := parse(fs, args); err != nil {
		return o, err
	}
	if unready < 0 {
		return o, fmt.Errorf("%w: --unready-seconds is %d: set 0 or more", errUsage, unready)
	}
	if o.exitCode > 255 {
		return o, fmt.Errorf("%w: --exit-code is %d: set 0 to 255", errUsage, o.exitCode)
	}
	o.unreadyFor = time.Duration(unready) * time.Second
	return o, nil
}

type proxyOptions struct {
	listen, target string
}

func parseProxyOptions(args []string, out io.Writer) (proxyOptions, error) {
	var o proxyOptions
	fs := flag.NewFlagSet("sampleapp proxy", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&o.listen, "listen", ":15180", "address to listen on")
	fs.StringVar(&o.target, "target", "", "host:port to forward to (required)")
	if err := parse(fs, args); err != nil {
		return o, err
	}
	if _, _, err := net.SplitHostPort(o.target); err != nil {
		return o, fmt.Errorf("%w: --target is %q: set host:port, such as 127.0.0.1:8080", errUsage, o.target)
	}
	return o, nil
}

func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%w: unknown argument %q: pass only flags, after \"proxy\" for the proxy", errUsage, fs.Arg(0))
	}
	return nil
}

func intFrom(getenv func(string) string, name string, fallback int) (int, error) {
	s := getenv(name)
	if s == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%w: %s is %q: set a whole number", errUsage, name, s)
	}
	return n, nil
}
