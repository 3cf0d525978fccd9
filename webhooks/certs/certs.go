// SPDX-License-Identifier: Apache-2.0

// Package certs gives the webhook server its certificate, and the API server the CA to check it by.
//
// Open Policy Agent's cert-controller makes the CA and the serving certificate. They are kept in a Secret and renewed
// 90 days before they end. What cert-controller's own rotator does besides, this package does in its place, so that no
// call fails while a CA is exchanged: docs/decisions/0018-certificate-rotation.md.
//
//   - The webhook configurations trust the old CAs beside the new one for a while (bundle.go).
//   - A replica goes on with the certificate it has until the API server has had time to learn of the new one's CA.
//   - The certificate is served from memory: a mounted Secret would arrive up to a minute and a half after it was
//     written, and a private key would lie in a file.
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

// settle is how long the webhook configurations must have had a CA before its certificate is served. An API server
// learns of a changed configuration by a watch, in milliseconds; of several API servers the slowest one counts.
const settle = 5 * time.Second

// Options say where the certificate is kept and whom it is for. All fields are required.
type Options struct {
	// Secret holds the CA and the serving certificate. It must exist, it may be empty.
	Secret types.NamespacedName
	// ServiceName is the webhook's Service, in the Secret's namespace.
	ServiceName string
	// MutatingConfiguration and ValidatingConfiguration are given the CA.
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
			errs = append(errs, fmt.Errorf("no %s: give the one that is in config/webhook", required.what))
		}
	}
	return errors.Join(errs...)
}

// Keeper holds the serving certificate.
type Keeper struct {
	options Options
	issuer  issuer
	clock   clock.PassiveClock
	client  client.Client
	served  atomic.Pointer[pair]
	// trusted tells whether the configurations have the CA of what is served.
	trusted atomic.Bool
	// announced is the CA that all configurations have had since then. Only Reconcile uses it, one at a time.
	announced struct {
		ca    []byte
		since time.Time
	}
}

// NewKeeper returns a Keeper without a certificate.
func NewKeeper(o Options) *Keeper {
	return &Keeper{
		options: o,
		issuer:  newIssuer(fmt.Sprintf("%s.%s.svc", o.ServiceName, o.Secret.Namespace)),
		clock:   clock.RealClock{},
	}
}

// CacheByObject limits the manager's cache to the one Secret and the two configurations. With the name in the
// selector, RBAC can limit list and watch to these names as well.
func (k *Keeper) CacheByObject() map[client.Object]cache.ByObject {
	named := func(name string) fields.Selector { return fields.OneTermEqualSelector("metadata.name", name) }
	return map[client.Object]cache.ByObject{
		&corev1.Secret{}: {
			Namespaces: map[string]cache.Config{k.options.Secret.Namespace: {}},
			Field:      named(k.options.Secret.Name),
		},
		&admissionregistrationv1.MutatingWebhookConfiguration{}:   {Field: named(k.options.MutatingConfiguration)},
		&admissionregistrationv1.ValidatingWebhookConfiguration{}: {Field: named(k.options.ValidatingConfiguration)},
	}
}

// GetCertificate is for tls.Config.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if p := k.served.Load(); p != nil {
		return p.leaf, nil
	}
	return nil, fmt.Errorf("the Secret %s holds no certificate yet", k.options.Secret)
}

// Ready is a readiness check: this replica serves a certificate that is valid now, and the webhook configurations have
// its CA.
func (k *Keeper) Ready(*http.Request) error {
	c, err := k.GetCertificate(nil)
	if err != nil {
		return err
	}
	if now := k.clock.Now(); now.Before(c.Leaf.NotBefore) || now.After(c.Leaf.NotAfter) {
		return fmt.Errorf("the certificate in the Secret %s is valid from %s to %s, not now", k.options.Secret, c.Leaf.NotBefore, c.Leaf.NotAfter)
	}
	if !k.trusted.Load() {
		return fmt.Errorf("the CA is not yet in the webhook configurations %s and %s",
			k.options.MutatingConfiguration, k.options.ValidatingConfiguration)
	}
	return nil
}

// SetupWithManager makes every replica watch the Secret and the configurations and renew what is in them. It needs no
// leader: writes carry the resourceVersion, so of two replicas that renew at once one is refused and reads what the
// other wrote.
func (k *Keeper) SetupWithManager(mgr ctrl.Manager) error {
	if err := k.options.validate(); err != nil {
		return fmt.Errorf("setting up the webhook certificates: %w", err)
	}
	k.client = mgr.GetClient()
	return k.register(mgr)
}

// offer serves next at once if nothing is served yet or if the API server has had its CA for long enough; otherwise
// it returns how long that still takes, for the configurations that have the CA since then.
func (k *Keeper) offer(next *pair, since time.Time) (wait time.Duration) {
	served := k.served.Load()
	if served != nil && bytes.Equal(served.leaf.Certificate[0], next.leaf.Certificate[0]) {
		return 0
	}
	if wait := settle - k.clock.Since(since); served != nil && wait > 0 {
		return wait
	}
	k.served.Store(next)
	return 0
}
