// SPDX-License-Identifier: Apache-2.0

// Package certs gives the webhook server its certificate.
//
// Open Policy Agent's cert-controller makes a CA and a serving certificate,
// keeps them in a Secret, renews them 90 days before they end and writes the
// CA into the webhook configurations. This package serves the certificate out
// of that Secret from memory: a mounted Secret would arrive up to a minute and a
// half after it was written, and a private key would lie in a file.
//
// A renewed serving certificate (yearly) has no gap: old and new are signed by
// the same CA. A renewed CA (after ten years, or when someone empties the Secret)
// has one: cert-controller replaces caBundle instead of adding to it, so for the
// milliseconds until every replica has seen the Secret, and for as long as the
// API server takes to see the configuration, a call can fail its handshake.
package certs

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// Options say where the certificate is kept and whom it is for.
type Options struct {
	// Secret holds the CA and the serving certificate. It must exist, it may be empty.
	Secret types.NamespacedName
	// ServiceName is the webhook's Service, in the Secret's namespace.
	ServiceName string
	// MutatingConfiguration and ValidatingConfiguration are given the CA.
	MutatingConfiguration, ValidatingConfiguration string
	// Dir is a folder that can be written. It receives the public certificate,
	// by which cert-controller learns that this replica has it.
	Dir string
}

// Keeper holds the serving certificate.
type Keeper struct {
	options  Options
	current  atomic.Pointer[tls.Certificate]
	injected chan struct{}
}

// NewKeeper returns a Keeper without a certificate.
func NewKeeper(o Options) *Keeper {
	return &Keeper{options: o, injected: make(chan struct{})}
}

// CacheOptions limits the manager's cache of Secrets to the one that is needed.
func (k *Keeper) CacheOptions() cache.ByObject {
	return cache.ByObject{
		Namespaces: map[string]cache.Config{k.options.Secret.Namespace: {}},
		Field:      fields.OneTermEqualSelector("metadata.name", k.options.Secret.Name),
	}
}

// GetCertificate is for tls.Config.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := k.current.Load(); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("the Secret %s holds no certificate yet", k.options.Secret)
}

// Ready is a readiness check: this replica serves a certificate that is valid
// now, and the webhook configurations have its CA.
func (k *Keeper) Ready(*http.Request) error {
	c, err := k.GetCertificate(nil)
	if err != nil {
		return err
	}
	if now := time.Now(); now.Before(c.Leaf.NotBefore) || now.After(c.Leaf.NotAfter) {
		return fmt.Errorf("the certificate in the Secret %s is valid from %s to %s, not now", k.options.Secret, c.Leaf.NotBefore, c.Leaf.NotAfter)
	}
	select {
	case <-k.injected:
		return nil
	default:
		return fmt.Errorf("the CA is not yet in the webhook configurations %s and %s",
			k.options.MutatingConfiguration, k.options.ValidatingConfiguration)
	}
}

// SetupWithManager makes every replica watch the Secret and renew what is in it.
// Renewal needs no leader: writes carry the resourceVersion, so of two replicas
// that renew at once one fails and reads what the other wrote.
func (k *Keeper) SetupWithManager(mgr ctrl.Manager) error {
	if err := os.MkdirAll(k.options.Dir, 0o755); err != nil {
		return fmt.Errorf("making the certificate folder: %w", err)
	}
	if err := mgr.Add(&secretWatch{keeper: k, cache: mgr.GetCache(), log: mgr.GetLogger().WithName("certs")}); err != nil {
		return fmt.Errorf("adding the watch of the Secret %s: %w", k.options.Secret, err)
	}
	err := rotator.AddRotator(mgr, &rotator.CertRotator{
		SecretKey:      k.options.Secret,
		CertDir:        k.options.Dir,
		CAName:         "podtrail-webhook-ca",
		CAOrganization: "podtrail",
		DNSName:        fmt.Sprintf("%s.%s.svc", k.options.ServiceName, k.options.Secret.Namespace),
		IsReady:        k.injected,
		Webhooks: []rotator.WebhookInfo{
			{Name: k.options.MutatingConfiguration, Type: rotator.Mutating},
			{Name: k.options.ValidatingConfiguration, Type: rotator.Validating},
		},
		FieldOwner: "podtrail-cert-rotator",
	})
	if err != nil {
		return fmt.Errorf("adding the certificate rotator: %w", err)
	}
	return nil
}

// load takes over the pair in the Secret. An empty Secret is not an error: the
// rotator is about to fill it.
func (k *Keeper) load(secret *corev1.Secret) error {
	certPEM, keyPEM := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if len(certPEM) == 0 && len(keyPEM) == 0 {
		return nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("reading the certificate in the Secret %s: %w", k.options.Secret, err)
	}
	k.current.Store(&pair)
	file := filepath.Join(k.options.Dir, corev1.TLSCertKey)
	if err := os.WriteFile(file, certPEM, 0o644); err != nil {
		return fmt.Errorf("writing the public certificate: %w", err)
	}
	return nil
}
