// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// secretFor returns a Secret with a self-signed pair that is valid around now+offset.
func secretFor(t *testing.T, offset time.Duration) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	middle := time.Now().Add(offset)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: middle.Add(-time.Hour), NotAfter: middle.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{Data: map[string][]byte{
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}}
}

func newKeeper(t *testing.T) *Keeper {
	t.Helper()
	return NewKeeper(Options{
		Secret: types.NamespacedName{Namespace: "ns", Name: "cert"}, Dir: t.TempDir(),
		MutatingConfiguration: "m", ValidatingConfiguration: "v",
	})
}

func TestReady(t *testing.T) {
	cases := map[string]struct {
		secret   *corev1.Secret
		injected bool
		want     string
	}{
		"nothing in the Secret":      {&corev1.Secret{}, true, "the Secret ns/cert holds no certificate yet"},
		"a certificate of yesterday": {secretFor(t, -24*time.Hour), true, "is valid from"},
		"a certificate of tomorrow":  {secretFor(t, 24*time.Hour), true, "is valid from"},
		"the CA is not yet known":    {secretFor(t, 0), false, "the CA is not yet in the webhook configurations m and v"},
		"served, valid, and trusted": {secretFor(t, 0), true, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t)
			if err := k.load(tc.secret); err != nil {
				t.Fatal(err)
			}
			if tc.injected {
				close(k.injected)
			}
			err := k.Ready(nil)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Ready says %v, want %q", err, tc.want)
			}
		})
	}
}

func TestLoadKeepsWhatIsServed(t *testing.T) {
	k := newKeeper(t)
	good := secretFor(t, 0)
	if err := k.load(good); err != nil {
		t.Fatal(err)
	}
	served, err := k.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	mixed := secretFor(t, 0)
	mixed.Data[corev1.TLSCertKey] = good.Data[corev1.TLSCertKey]
	for name, broken := range map[string]*corev1.Secret{
		"no PEM":                  {Data: map[string][]byte{corev1.TLSCertKey: []byte("x"), corev1.TLSPrivateKeyKey: []byte("y")}},
		"the key of another pair": mixed,
	} {
		if err := k.load(broken); err == nil || !strings.Contains(err.Error(), "the Secret ns/cert") {
			t.Errorf("%s: load says %v", name, err)
		}
	}
	if err := k.load(&corev1.Secret{}); err != nil {
		t.Errorf("an emptied Secret: %v", err)
	}
	if now, err := k.GetCertificate(nil); err != nil || now != served {
		t.Errorf("another certificate is served after broken Secrets: %v", err)
	}
}

// TestKeyStaysInMemory: only the public certificate is written.
func TestKeyStaysInMemory(t *testing.T) {
	k := newKeeper(t)
	if err := k.load(secretFor(t, 0)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(k.options.Dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d files in the folder, want 1: %v", len(entries), err)
	}
	content, err := os.ReadFile(filepath.Join(k.options.Dir, entries[0].Name()))
	if err != nil || !strings.Contains(string(content), "BEGIN CERTIFICATE") || strings.Contains(string(content), "PRIVATE KEY") {
		t.Errorf("the file holds %s (%v)", content, err)
	}
}
