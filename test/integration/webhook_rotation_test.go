// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	rotations = 3
	// loadPerSecond is what is sent, as long as the machine is quick enough.
	loadPerSecond = 60
	// fewestPods is 50 per second for as long as a certificate is held back, in each rotation. A machine that is too
	// busy for it sees more rotations, up to mostRotations.
	fewestPods    = 50 * 5 * rotations
	mostRotations = 4 * rotations
	// senders bounds how many requests are under way at once.
	senders = 16
)

// testRotationUnderLoad exchanges CA and certificate three times, as an emptied Secret makes the manager do, while Pods
// are created. Most of the API server's connections live on, so beside it ten times a second a new one is made and checked
// with what the API server trusts at that moment.
func testRotationUnderLoad(t *testing.T) {
	namespace := demoNamespace(t)
	load := startLoad(t, loadPerSecond, func(ctx context.Context) error {
		return k8sClient.Create(ctx, limitedPod(namespace, "load"), dryRun)
	})
	handshakes := startLoad(t, 10, func(ctx context.Context) error {
		_, err := servedCertificate(ctx)
		return err
	})
	rotated := 0
	for ; rotated < rotations || load.sent.Load() < fewestPods && rotated < mostRotations; rotated++ {
		rotateCA(t)
	}
	created, perSecond := load.finish()
	dialled, _ := handshakes.finish()
	t.Logf("%d rotations, %d Pods (%.0f per second) and %d new connections", rotated, created, perSecond, dialled)
	if created < fewestPods {
		t.Errorf("%d Pods were created, want %d: this machine is too busy to show anything", created, fewestPods)
	}
}

// rotateCA empties the Secret and waits until what the manager has made instead is served.
func rotateCA(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "podtrail-webhook-cert"}}
	get(t.Context(), t, secret)
	before := secret.Data["ca.crt"]
	secret.Data = nil
	if err := k8sClient.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	await(t, "the certificate of another CA is served", func(ctx context.Context) error {
		served, err := servedCertificate(ctx)
		if err != nil {
			return err
		}
		get(ctx, t, secret)
		if now := secret.Data["ca.crt"]; len(now) == 0 || bytes.Equal(now, before) {
			return errors.New("the Secret holds no other CA yet")
		}
		if block, _ := pem.Decode(secret.Data[corev1.TLSCertKey]); block == nil || !bytes.Equal(block.Bytes, served.Raw) {
			return errors.New("the old certificate is served")
		}
		return nil
	})
}

// servedCertificate dials the webhooks anew as the API server would: it trusts what both configurations say.
func servedCertificate(ctx context.Context) (*x509.Certificate, error) {
	var mutating admissionregistrationv1.MutatingWebhookConfigurationList
	var validating admissionregistrationv1.ValidatingWebhookConfigurationList
	if err := errors.Join(k8sClient.List(ctx, &mutating), k8sClient.List(ctx, &validating)); err != nil {
		return nil, err
	}
	if len(mutating.Items) != 1 || len(validating.Items) != 1 {
		return nil, fmt.Errorf("%d mutating and %d validating configurations, want one each", len(mutating.Items), len(validating.Items))
	}
	first, second := mutating.Items[0].Webhooks[0].ClientConfig, validating.Items[0].Webhooks[0].ClientConfig
	if _, err := dialTrusting(ctx, first); err != nil {
		return nil, fmt.Errorf("with the CAs of %s: %w", mutating.Items[0].Name, err)
	}
	served, err := dialTrusting(ctx, second)
	if err != nil {
		return nil, fmt.Errorf("with the CAs of %s: %w", validating.Items[0].Name, err)
	}
	return served, nil
}

func dialTrusting(ctx context.Context, config admissionregistrationv1.WebhookClientConfig) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CABundle)
	dialer := tls.Dialer{Config: &tls.Config{
		RootCAs: roots, ServerName: config.Service.Name + "." + config.Service.Namespace + ".svc", MinVersion: tls.VersionTLS13,
	}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(*config.Service.Port))))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	state := conn.(*tls.Conn).ConnectionState() //nolint:forcetypeassert // tls.Dialer returns nothing else
	return state.PeerCertificates[0], nil
}

// load sends the same request again and again.
type load struct {
	t       *testing.T
	started time.Time
	stop    context.CancelFunc
	done    sync.WaitGroup
	sent    atomic.Int64
}

// startLoad sends perSecond requests until finish is called. A sender that is late catches up. Each error fails the
// test.
func startLoad(t *testing.T, perSecond float64, send func(context.Context) error) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, started: time.Now(), stop: cancel}
	var next atomic.Int64
	for range senders {
		l.done.Go(func() {
			for ctx.Err() == nil {
				due := l.started.Add(time.Duration(float64(next.Add(1)) / perSecond * float64(time.Second)))
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(due)):
				}
				// Not ctx: a request that is under way when the load ends is still to succeed.
				request, done := context.WithTimeout(t.Context(), eventually)
				if err := send(request); err != nil {
					t.Errorf("after %d requests: %v", l.sent.Load(), err)
				}
				done()
				l.sent.Add(1)
			}
		})
	}
	t.Cleanup(func() { l.finish() })
	return l
}

func (l *load) finish() (sent int64, perSecond float64) {
	l.t.Helper()
	elapsed := time.Since(l.started)
	l.stop()
	l.done.Wait()
	sent = l.sent.Load()
	return sent, float64(sent) / elapsed.Seconds()
}
