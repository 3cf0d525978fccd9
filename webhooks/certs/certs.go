// SPDX-License-Identifier: Apache-2.0

// Package certs gives the webhook server its certificate, and the API server the CA that verifies it.
//
// Open Policy Agent's cert-controller creates the CA and the serving certificate. They are stored in a Secret and renewed
// 90 days before they expire. This package replaces the rest of cert-controller's rotator, so that no call fails while the
// CA is replaced: docs/decisions/0018-certificate-rotation.md.
//
//   - The webhook configurations trust the old CAs beside the new one for a while (bundle.go).
//   - A replica keeps serving its certificate until the API server has had time to learn of the new certificate's CA.
//   - The certificate is served from memory: a mounted Secret would be updated up to a minute and a half later, and the
//     private key would be in a file.
package certs

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// settle is how long a CA must have been in the webhook configurations before its certificate is served. An API server
// learns of a changed configuration through a watch, within milliseconds; the slowest of several API servers counts.
const settle = 5 * time.Second

// Options configure where the certificate is stored and for whom it is issued. All fields are required.
type Options struct {
	// Secret holds the CA and the serving certificate. It must exist and may be empty.
	Secret types.NamespacedName
	// ServiceName is the webhook's Service, in the Secret's namespace.
	ServiceName string
	// MutatingConfiguration and ValidatingConfiguration are the configurations that get the CA.
	MutatingConfiguration, ValidatingConfiguration string
}

func (o Options) validate() error {
	var errs []error
	for _, required := range []struct{ what, value string }{
		{"namespace of the Secret", o.Secret.Namespace},
		{"name of the Secret", o.Secret.Name},
		{"name of the Service", o.ServiceName},
		{"name of the mutating configuration", o.MutatingConfiguration},
		{"name of the validating configuration", o.ValidatingConfiguration},
	} {
		if required.value == "" {
			errs = append(errs, fmt.Errorf("no %s: set the one in config/webhook", required.what))
		}
	}
	return errors.Join(errs...)
}

// Manager keeps the serving certificate valid and trusted, and serves it.
type Manager struct {
	options Options
	issuer  issuer
	clock   clock.PassiveClock
	client  client.Client
	served  atomic.Pointer[pair]
	// trusted is true if the configurations have the CA of the served certificate.
	trusted atomic.Bool
	// announced is the CA that all configurations have had since that time. Only Reconcile uses it, one call at a time.
	announced struct {
		ca    []byte
		since time.Time
	}
}

// NewManager returns a Manager that has no certificate yet.
func NewManager(o Options) *Manager {
	return &Manager{
		options: o,
		issuer:  newIssuer(fmt.Sprintf("%s.%s.svc", o.ServiceName, o.Secret.Namespace)),
		clock:   clock.RealClock{},
	}
}

// CacheByObject limits the cache to the Secret and the two configurations. Because the selector contains the name, RBAC
// can limit list and watch to these names too.
func (m *Manager) CacheByObject() map[client.Object]cache.ByObject {
	named := func(name string) fields.Selector { return fields.OneTermEqualSelector("metadata.name", name) }
	return map[client.Object]cache.ByObject{
		&corev1.Secret{}: {
			Namespaces: map[string]cache.Config{m.options.Secret.Namespace: {}},
			Field:      named(m.options.Secret.Name),
		},
		&admissionregistrationv1.MutatingWebhookConfiguration{}:   {Field: named(m.options.MutatingConfiguration)},
		&admissionregistrationv1.ValidatingWebhookConfiguration{}: {Field: named(m.options.ValidatingConfiguration)},
	}
}

// GetCertificate implements the field of the same name in tls.Config.
func (m *Manager) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if p := m.served.Load(); p != nil {
		return p.leaf, nil
	}
	return nil, fmt.Errorf("the Secret %s holds no certificate yet", m.options.Secret)
}

// Ready is a readiness check. It returns nil if this replica serves a certificate that is valid now and whose CA is in
// the webhook configurations.
func (m *Manager) Ready(*http.Request) error {
	c, err := m.GetCertificate(nil)
	if err != nil {
		return err
	}
	if now := m.clock.Now(); now.Before(c.Leaf.NotBefore) || now.After(c.Leaf.NotAfter) {
		return fmt.Errorf("the certificate in the Secret %s is valid from %s to %s, not now", m.options.Secret, c.Leaf.NotBefore, c.Leaf.NotAfter)
	}
	if !m.trusted.Load() {
		return fmt.Errorf("the CA is not yet in the webhook configurations %s and %s",
			m.options.MutatingConfiguration, m.options.ValidatingConfiguration)
	}
	return nil
}

// SetupWithManager makes every replica watch the Secret and the configurations and renew their content. It needs no
// leader: writes carry the resourceVersion, so if two replicas renew at the same time, one is refused and reads what
// the other wrote.
func (m *Manager) SetupWithManager(mgr ctrl.Manager) error {
	if err := m.options.validate(); err != nil {
		return fmt.Errorf("setting up the webhook certificates: %w", err)
	}
	m.client = mgr.GetClient()
	return m.register(mgr)
}

// offer serves next if nothing is served yet, or if its CA has been in the configurations for long enough, which it has
// been since the given time. Otherwise it returns how long to wait.
func (m *Manager) offer(next *pair, since time.Time) (wait time.Duration) {
	served := m.served.Load()
	if served != nil && bytes.Equal(served.leaf.Certificate[0], next.leaf.Certificate[0]) {
		return 0
	}
	if wait := settle - m.clock.Since(since); served != nil && wait > 0 {
		return wait
	}
	m.served.Store(next)
	return 0
}
