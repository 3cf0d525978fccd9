// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"
)

const (
	// overlap is how long earlier CAs stay trusted. Within this time every replica sees the Secret, and the slowest API
	// server sees the configuration.
	overlap = time.Hour
	// maxPrevious bounds the bundle, in case the Secret is emptied again and again.
	maxPrevious = 8
)

// bundle returns, as PEM, the CAs that the API server should trust: the current CA (DER) and, until it is as old as
// overlap, those in existing that have not expired, in their order, which is newest first. It skips what is not a
// certificate.
func bundle(existing, current []byte, now time.Time) []byte {
	trusted := [][]byte{current}
	if ca, err := x509.ParseCertificate(current); err == nil && now.Before(ca.NotBefore.Add(backdated+overlap)) {
		for _, previous := range certificates(existing) {
			if len(trusted) <= maxPrevious && now.Before(previous.NotAfter) && !bytes.Equal(previous.Raw, current) {
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

// contains reports whether a bundle has a CA (DER).
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
