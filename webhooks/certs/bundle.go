// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"
)

const (
	// overlap is how long the CAs before the current one stay trusted. Within it every replica has seen the Secret
	// and the slowest API server the configuration.
	overlap = time.Hour
	// mostPrevious bounds the bundle if somebody empties the Secret again and again.
	mostPrevious = 8
)

// bundle returns what the API server shall trust, as PEM: the current CA (DER) and, until that one is as old as
// overlap, those of existing that have not ended, the youngest ones first. What is no certificate is left out.
func bundle(existing, current []byte, now time.Time) []byte {
	trusted := [][]byte{current}
	if ca, err := x509.ParseCertificate(current); err == nil && now.Before(ca.NotBefore.Add(backdated+overlap)) {
		for _, previous := range certificates(existing) {
			if len(trusted) <= mostPrevious && now.Before(previous.NotAfter) && !bytes.Equal(previous.Raw, current) {
				trusted = append(trusted, previous.Raw)
			}
		}
	}
	var text bytes.Buffer
	for _, der := range trusted {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return text.Bytes()
}

// contains tells whether a bundle has a CA (DER).
func contains(bundle, ca []byte) bool {
	for _, certificate := range certificates(bundle) {
		if bytes.Equal(certificate.Raw, ca) {
			return true
		}
	}
	return false
}

func certificates(text []byte) []*x509.Certificate {
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, certificate)
		}
	}
	return all
}
