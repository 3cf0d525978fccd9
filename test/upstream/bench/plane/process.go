// SPDX-License-Identifier: Apache-2.0

package plane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopTimeout is how long a controller may take to end before it is killed.
const stopTimeout = 30 * time.Second

// Process is a controller.
type Process struct {
	command *exec.Cmd
	plane   *Plane
	log     string
	ended   chan struct{}
	err     error
}

// Run starts a controller with the rights and the priority that all controllers get. It ends with ctx, at the latest.
func (p *Plane) Run(ctx context.Context, path string, args ...string) (*Process, error) {
	process := &Process{plane: p, log: filepath.Join(p.folder, filepath.Base(path)+".log"), ended: make(chan struct{})}
	output, err := os.Create(process.log)
	if err != nil {
		return nil, fmt.Errorf("making the log of %s: %w", path, err)
	}
	defer output.Close()
	process.command = exec.CommandContext(ctx, path, args...)
	process.command.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig)
	process.command.Stdout, process.command.Stderr = output, output
	// A group of its own, so that Ctrl-C reaches it through ctx only and in order.
	process.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process.command.Cancel = func() error { return process.command.Process.Signal(syscall.SIGTERM) }
	process.command.WaitDelay = stopTimeout
	if err := process.command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	go func() {
		process.err = process.command.Wait()
		close(process.ended)
	}()
	return process, nil
}

// Stop ends the controller.
func (p *Process) Stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending %s: %w", p.command.Path, err)
	}
	timer := time.AfterFunc(stopTimeout, func() {
		// Wait reports the outcome.
		_ = p.command.Process.Kill()
	})
	defer timer.Stop()
	<-p.ended
	return nil
}

// Problem says, if the controller has ended by itself, what it said last.
func (p *Process) Problem() error {
	select {
	case <-p.ended:
	default:
		return nil
	}
	said, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Errorf("%s has ended (%w) and its log cannot be read: %w", p.command.Path, p.err, err)
	}
	const most = 2000
	return fmt.Errorf("%s has ended: %w; it said last: %s", p.command.Path, p.err, said[max(0, len(said)-most):])
}

// Used is processor time since each process started, and a controller's peak memory in bytes.
type Used struct {
	Controller, APIServer, Etcd time.Duration
	Peak                        int64
}

// Since is what has been used since earlier; the peak stays the whole process's.
func (u Used) Since(earlier Used) Used {
	return Used{
		Controller: u.Controller - earlier.Controller,
		APIServer:  u.APIServer - earlier.APIServer,
		Etcd:       u.Etcd - earlier.Etcd,
		Peak:       u.Peak,
	}
}

// Used reads what has been used so far.
func (p *Process) Used() (used Used, err error) {
	if used.Controller, err = processorTime(p.command.Process.Pid); err != nil {
		return used, errors.Join(err, p.Problem())
	}
	if used.APIServer, err = processorTime(p.plane.apiServer); err != nil {
		return used, err
	}
	if used.Etcd, err = processorTime(p.plane.etcd); err != nil {
		return used, err
	}
	used.Peak, err = peakMemory(p.command.Process.Pid)
	return used, err
}

// FreePort finds a port of this machine that nobody listens on.
func FreePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if err := listener.Close(); err != nil || !ok {
		return 0, fmt.Errorf("finding a free port: got %v: %w", listener.Addr(), err)
	}
	return address.Port, nil
}
