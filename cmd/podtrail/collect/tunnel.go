// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// DialFunc opens a connection to a port of a Pod.
type DialFunc func(ctx context.Context, namespace, pod string, port int) (net.Conn, error)

// dialThroughAPIServer opens one forwarded stream to the Pod, by websocket and, where the API server or a proxy knows
// none, by SPDY, as kubectl port-forward does (k8s.io/kubectl pkg/cmd/portforward createDialer). Unlike there no local
// port listens, so nobody else on this machine can use it.
func (c *Cluster) dialThroughAPIServer(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	dialer, err := c.dialer(namespace, pod)
	if err != nil {
		return nil, err
	}
	type dialed struct {
		conn net.Conn
		err  error
	}
	// The dialer takes no context, so what comes too late is closed when it comes.
	result := make(chan dialed, 1)
	go func() {
		conn, err := openStream(dialer, port)
		result <- dialed{conn, err}
	}()
	select {
	case d := <-result:
		return d.conn, d.err
	case <-ctx.Done():
		go func() {
			if d := <-result; d.err == nil {
				_ = d.conn.Close() // nobody waits for it any more
			}
		}()
		return nil, fmt.Errorf("port-forward to Pod %s/%s: %w", namespace, pod, ctx.Err())
	}
}

func (c *Cluster) dialer(namespace, pod string) (httpstream.Dialer, error) {
	target := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).
		SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return nil, fmt.Errorf("make SPDY dialer: %w", err)
	}
	bySPDY := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	byWebsocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, c.config)
	if err != nil {
		return nil, fmt.Errorf("make websocket dialer: %w", err)
	}
	return portforward.NewFallbackDialerForStreaming(byWebsocket, bySPDY, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// openStream speaks the port-forward protocol: an error stream and a data stream for one connection, told apart from
// others by a request ID (portforward.PortForwarder.handleConnection).
func openStream(dialer httpstream.Dialer, port int) (net.Conn, error) {
	connection, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, fmt.Errorf("port-forward: %w", err)
	}
	if protocol != portforward.PortForwardProtocolV1Name {
		return nil, errors.Join(fmt.Errorf("port-forward: the server speaks %q", protocol), connection.Close())
	}
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	errorStream, err := connection.CreateStream(headers)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("port-forward: open error stream: %w", err), connection.Close())
	}
	_ = errorStream.Close() // only closes our direction, in which nothing is ever written
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("port-forward: open data stream: %w", err), connection.Close())
	}
	t := &tunnel{Stream: data, connection: connection, failed: make(chan struct{})}
	go t.watch(errorStream)
	return t, nil
}

// tunnel is a forwarded stream as a net.Conn. It has no deadlines of its own: whoever uses it closes it, as
// net/http does when a request's context ends.
type tunnel struct {
	httpstream.Stream
	connection httpstream.Connection
	once       sync.Once
	// failed is closed when the error stream ended; failure is then what it said.
	failed  chan struct{}
	failure string
}

// watch keeps what the kubelet reports when it can't connect to the port, and ends the tunnel then.
func (t *tunnel) watch(errorStream io.Reader) {
	message, err := io.ReadAll(io.LimitReader(errorStream, 4096))
	if err == nil && len(message) > 0 {
		t.failure = string(message)
	}
	close(t.failed)
	if t.failure != "" {
		_ = t.Close() // the failure is what a reader gets to know
	}
}

// Read reads from the Pod; at the end of a failed tunnel it returns what failed.
func (t *tunnel) Read(b []byte) (int, error) {
	n, err := t.Stream.Read(b)
	if err == nil {
		return n, nil
	}
	select {
	case <-t.failed:
		if t.failure != "" {
			return n, errors.New(t.failure)
		}
	case <-time.After(100 * time.Millisecond): // the error stream may come just after the end of the data
	}
	return n, err
}

// Close ends the stream and the connection that carries it.
func (t *tunnel) Close() error {
	var err error
	t.once.Do(func() { err = errors.Join(t.Reset(), t.connection.Close()) })
	return err
}

// LocalAddr and RemoteAddr have nothing to tell: there is no address on either side.
func (t *tunnel) LocalAddr() net.Addr  { return tunnelAddr{} }
func (t *tunnel) RemoteAddr() net.Addr { return tunnelAddr{} }

// SetDeadline and its kin do nothing, see tunnel.
func (t *tunnel) SetDeadline(time.Time) error      { return nil }
func (t *tunnel) SetReadDeadline(time.Time) error  { return nil }
func (t *tunnel) SetWriteDeadline(time.Time) error { return nil }

type tunnelAddr struct{}

func (tunnelAddr) Network() string { return "kubernetes-port-forward" }
func (tunnelAddr) String() string  { return "kubernetes-port-forward" }
