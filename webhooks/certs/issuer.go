// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
)

// The keys of the CA in the Secret, as cert-controller names them.
const (
	caCertKey = "ca.crt"
	caKeyKey  = "ca.key"
)

// The validity of what is issued and the time before its end at which it is renewed are cert-controller's defaults.
const (
	caValidity     = 10 * 365 * 24 * time.Hour
	leafValidity   = 365 * 24 * time.Hour
	renewBefore    = 90 * 24 * time.Hour
	backdated      = time.Hour // for clocks that are slow
	caCommonName   = "podtrail-webhook-ca"
	caOrganization = "podtrail"
)

// issuer creates and checks the content of the Secret.
type issuer struct{ maker *rotator.CertRotator }

func newIssuer(dnsName string) issuer {
	return issuer{&rotator.CertRotator{
		CAName: caCommonName, CAOrganization: caOrganization, DNSName: dnsName,
		ExtKeyUsages: &[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}}
}

// renew returns the new content of the Secret, or nil if data is still valid. The new content has a new serving
// certificate, and a new CA if the one in data is missing or about to expire.
func (i issuer) renew(data map[string][]byte, now time.Time) (map[string][]byte, error) {
	at := now.Add(renewBefore)
	// An error only describes why the CA is not valid. Either way it is replaced.
	if valid, err := rotator.ValidCert(data[caCertKey], data[caCertKey], data[caKeyKey], caCommonName, nil, at); err != nil || !valid {
		return i.issue(data, now, nil)
	}
	leaf, key := data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]
	if valid, err := rotator.ValidCert(data[caCertKey], leaf, key, i.maker.DNSName, i.maker.ExtKeyUsages, at); err != nil || !valid {
		ca, err := readCA(data)
		if err != nil {
			return nil, err
		}
		return i.issue(data, now, ca)
	}
	return nil, nil
}

// issue creates a serving certificate signed by ca, or by a new CA if ca is nil.
func (i issuer) issue(data map[string][]byte, now time.Time, ca *rotator.KeyPairArtifacts) (issued map[string][]byte, err error) {
	begin := now.Add(-backdated)
	if ca == nil {
		if ca, err = i.maker.CreateCACert(begin, now.Add(caValidity)); err != nil {
			return nil, fmt.Errorf("creating a CA for the webhooks: %w", err)
		}
	}
	leaf, key, err := i.maker.CreateCertPEM(ca, begin, now.Add(leafValidity))
	if err != nil {
		return nil, fmt.Errorf("creating a serving certificate for the webhooks: %w", err)
	}
	issued = maps.Clone(data)
	if issued == nil {
		issued = map[string][]byte{}
	}
	issued[caCertKey], issued[caKeyKey] = ca.CertPEM, ca.KeyPEM
	issued[corev1.TLSCertKey], issued[corev1.TLSPrivateKeyKey] = leaf, key
	return issued, nil
}

// readCA decodes the CA in a Secret's data.
func readCA(data map[string][]byte) (*rotator.KeyPairArtifacts, error) {
	pair, err := tls.X509KeyPair(data[caCertKey], data[caKeyKey])
	if err != nil {
		return nil, fmt.Errorf("reading the CA: %w", err)
	}
	key, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the CA's key is a %T, but cert-controller signs with an *rsa.PrivateKey", pair.PrivateKey)
	}
	return &rotator.KeyPairArtifacts{Cert: pair.Leaf, Key: key, CertPEM: data[caCertKey], KeyPEM: data[caKeyKey]}, nil
}

// pair is a serving certificate and the CA that signed it.
type pair struct {
	leaf *tls.Certificate
	ca   []byte // DER
}

// readPair decodes the pair in a Secret's data.
func readPair(data map[string][]byte) (*pair, error) {
	leaf, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	ca, _ := pem.Decode(bytes.TrimSpace(data[caCertKey]))
	if ca == nil {
		return nil, errors.New("reading the CA: it is not PEM")
	}
	return &pair{leaf: &leaf, ca: ca.Bytes}, nil
}
