// SPDX-License-Identifier: Apache-2.0

package etcdwatch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	dialTimeout = 5 * time.Second
	// keepAlive finds a connection that is dead without having been closed.
	keepAlive = 30 * time.Second
	// maxAnswerBytes bounds one answer or one batch of a watch. Etcd takes values of up to 1.5 MB; a page has pageSize.
	maxAnswerBytes = 64 << 20
)

// reading are the only methods of etcd that this process calls; neither can change anything.
var reading = map[string]bool{"/etcdserverpb.KV/Range": true, "/etcdserverpb.Watch/Watch": true}

// Config says where etcd is and which client certificate it accepts.
type Config struct {
	// Endpoint is a URL, such as https://127.0.0.1:2379.
	Endpoint string
	// CAFile, CertFile and KeyFile are PEM files, for https only.
	CAFile, CertFile, KeyFile string
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	files := []string{c.CAFile, c.CertFile, c.KeyFile}
	switch {
	case strings.HasPrefix(c.Endpoint, "https://"):
		for i, name := range []string{"CA", "certificate", "key"} {
			if files[i] == "" {
				return fmt.Errorf("etcd endpoint %q needs a file with the %s", c.Endpoint, name)
			}
		}
		return nil
	case strings.HasPrefix(c.Endpoint, "http://"):
		if strings.Join(files, "") != "" {
			return fmt.Errorf("etcd endpoint %q takes no certificates: want https://", c.Endpoint)
		}
		return nil
	}
	return fmt.Errorf("etcd endpoint is %q, want https://HOST:PORT or http://HOST:PORT", c.Endpoint)
}

// Connect makes a client that can read and not write: whatever is called on it, only the methods in reading leave this
// process. The client certificate itself could do more, because kubeadm's etcd has no roles.
func Connect(c Config) (*clientv3.Client, error) {
	config := clientv3.Config{
		Endpoints: []string{c.Endpoint}, DialTimeout: dialTimeout,
		DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: dialTimeout,
		MaxCallRecvMsgSize: maxAnswerBytes,
		Logger:             zap.NewNop(), // what fails is told in Status
		DialOptions:        []grpc.DialOption{grpc.WithChainUnaryInterceptor(guardCall), grpc.WithChainStreamInterceptor(guardStream)},
	}
	if c.CAFile != "" {
		var err error
		if config.TLS, err = tlsConfig(c); err != nil {
			return nil, err
		}
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("making the client of etcd at %s: %w", c.Endpoint, err)
	}
	return client, nil
}

func tlsConfig(c Config) (*tls.Config, error) {
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading etcd's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading etcd's CA: %s holds no certificate in PEM", c.CAFile)
	}
	return &tls.Config{
		RootCAs: roots, MinVersion: tls.VersionTLS12,
		// Read for each connection, because certificates are renewed in place.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("loading etcd's client certificate: %w", err)
			}
			return &certificate, nil
		},
	}, nil
}

// refuse says why a method must not be called, nil if it may.
func refuse(method string) error {
	if reading[method] {
		return nil
	}
	return status.Error(codes.PermissionDenied, "the recorder only reads from etcd: "+method+" is not called")
}

func guardCall(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption) error {
	if err := refuse(method); err != nil {
		return err
	}
	return call(ctx, method, request, reply, connection, options...)
}

func guardStream(ctx context.Context, desc *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := refuse(method); err != nil {
		return nil, err
	}
	return open(ctx, desc, connection, method, options...)
}
