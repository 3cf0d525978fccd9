// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/x509"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// begin is when the tests' clocks start.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// cluster is a Manager with what it looks after.
type cluster struct {
	*Manager
	t     *testing.T
	clock *clocktesting.FakeClock
}

// newCluster has an empty Secret and two configurations of two webhooks, without a caBundle.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	m := NewManager(Options{
		Secret:      types.NamespacedName{Namespace: "ns", Name: "cert"},
		ServiceName: "hook", MutatingConfiguration: "m", ValidatingConfiguration: "v",
	})
	c := &cluster{Manager: m, t: t, clock: clocktesting.NewFakeClock(begin)}
	m.clock = c.clock
	m.client = fake.NewClientBuilder().WithObjects(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "cert"}},
		&admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "m"}, Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: "a"}, {Name: "b"}},
		},
		&admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "v"}, Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: "c"}, {Name: "d"}},
		},
	).Build()
	return c
}

func (c *cluster) reconcile() ctrl.Result {
	c.t.Helper()
	result, err := c.Reconcile(c.t.Context(), ctrl.Request{})
	if err != nil {
		c.t.Fatal(err)
	}
	return result
}

// issuedAtBegin is made once: RSA keys take their time.
var issuedAtBegin = sync.OnceValues(func() (map[string][]byte, error) { return newIssuer("hook.ns.svc").issue(nil, begin, nil) })

// settled is a cluster that serves a certificate whose CA has long been known.
func settled(t *testing.T) *cluster {
	t.Helper()
	issued, err := issuedAtBegin()
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t)
	secret := c.secret()
	secret.Data = issued
	if err := c.client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	c.reconcile() // serves, and writes the CA
	c.reconcile() // sees the CA in the configurations
	c.clock.Step(overlap + time.Minute)
	c.reconcile()
	return c
}

func (c *cluster) secret() *corev1.Secret {
	c.t.Helper()
	secret := &corev1.Secret{}
	if err := c.client.Get(c.t.Context(), c.options.Secret, secret); err != nil {
		c.t.Fatal(err)
	}
	return secret
}

func (c *cluster) changeSecret(change func(map[string][]byte)) {
	c.t.Helper()
	secret := c.secret()
	change(secret.Data)
	if err := c.client.Update(c.t.Context(), secret); err != nil {
		c.t.Fatal(err)
	}
}

func empty(data map[string][]byte) { clear(data) }

// bundles returns each webhook's caBundle.
func (c *cluster) bundles() (all [][]byte) {
	c.t.Helper()
	m, v := &admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}
	for name, configuration := range map[string]client.Object{"m": m, "v": v} {
		if err := c.client.Get(c.t.Context(), types.NamespacedName{Name: name}, configuration); err != nil {
			c.t.Fatal(err)
		}
		for _, clientConfig := range clientConfigs(configuration) {
			all = append(all, clientConfig.CABundle)
		}
	}
	return all
}

// verifies reports whether an API server that has these bundles accepts what is served.
func (c *cluster) verifies(bundles [][]byte) error {
	c.t.Helper()
	for _, text := range bundles {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		if _, err := c.served.Load().leaf.Leaf.Verify(x509.VerifyOptions{DNSName: "hook.ns.svc", Roots: roots, CurrentTime: c.clock.Now()}); err != nil {
			return err
		}
	}
	return nil
}

func TestFirstCertificate(t *testing.T) {
	c := newCluster(t)
	steps := []string{
		"the Secret ns/cert holds no certificate yet",             // issued, not read back yet
		"the CA is not yet in the webhook configurations m and v", // written, not seen yet
		"",
	}
	for i, want := range steps {
		c.reconcile()
		err := c.Ready(nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("after pass %d Ready says %v, want %q", i+1, err, want)
		}
	}
	if err := c.verifies(c.bundles()); err != nil {
		t.Errorf("the API server refuses what is served: %v", err)
	}
}

// TestNoGapWhenTheCAIsExchanged: at each step of a rotation, an API server that still has the bundles of the step
// before accepts what is served, and so does one that has the new ones.
func TestNoGapWhenTheCAIsExchanged(t *testing.T) {
	c := settled(t)
	first := c.served.Load()
	seen := c.bundles()
	c.changeSecret(empty)
	for range 3 {
		c.reconcile()
		now := c.bundles()
		for name, bundles := range map[string][][]byte{"before": seen, "now": now} {
			if err := c.verifies(bundles); err != nil {
				t.Errorf("an API server with the bundles of %s refuses what is served: %v", name, err)
			}
		}
		seen = now
	}
	if c.served.Load() != first {
		t.Error("another certificate is served although the API server may not have its CA yet")
	}
	if wait := c.reconcile().RequeueAfter; wait <= 0 || wait > settle {
		t.Errorf("the next pass is in %s, want one within %s", wait, settle)
	}
	c.clock.Step(settle)
	c.reconcile()
	if c.served.Load() == first {
		t.Errorf("the old certificate is still served %s after its successor's CA was announced", settle)
	}
	if err := c.verifies(c.bundles()); err != nil {
		t.Errorf("the API server refuses the new certificate: %v", err)
	}
	c.clock.Step(overlap + time.Minute)
	c.reconcile()
	for _, text := range c.bundles() {
		if contains(text, first.ca) || len(certificates(text)) != 1 {
			t.Errorf("after the overlap %d CAs are trusted, the old one among them: %v", len(certificates(text)), contains(text, first.ca))
		}
	}
	if err := c.Ready(nil); err != nil {
		t.Errorf("after the rotation Ready says %v", err)
	}
}

func TestAnotherCertificateOfTheSameCAIsServedAtOnce(t *testing.T) {
	c := settled(t)
	first := c.served.Load()
	c.changeSecret(func(data map[string][]byte) { delete(data, corev1.TLSCertKey) })
	c.reconcile()
	c.reconcile()
	now := c.served.Load()
	if now == first || !cmp.Equal(now.ca, first.ca) {
		t.Errorf("another certificate is served: %v; of the same CA: %v", now != first, cmp.Equal(now.ca, first.ca))
	}
}

func TestWhatIsRenewed(t *testing.T) {
	cases := map[string]struct {
		change           func(*cluster)
		wantCA, wantLeaf bool
	}{
		"nothing, while both are good":            {func(*cluster) {}, false, false},
		"the certificate, 90 days before its end": {func(c *cluster) { c.clock.Step(leafValidity - renewBefore) }, false, true},
		"nothing, a day before that":              {func(c *cluster) { c.clock.Step(leafValidity - renewBefore - 24*time.Hour) }, false, false},
		"both, 90 days before the CA's end":       {func(c *cluster) { c.clock.Step(caValidity - renewBefore) }, true, true},
		"both, when the Secret is emptied":        {func(c *cluster) { c.changeSecret(empty) }, true, true},
		"both, when the CA's key is lost":         {func(c *cluster) { c.changeSecret(func(d map[string][]byte) { delete(d, caKeyKey) }) }, true, true},
		"the certificate, when its key is garbage": {func(c *cluster) {
			c.changeSecret(func(d map[string][]byte) { d[corev1.TLSPrivateKeyKey] = []byte("x") })
		}, false, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := settled(t)
			before := c.secret().Data
			tc.change(c)
			c.reconcile()
			after := c.secret().Data
			gotCA, gotLeaf := !cmp.Equal(before[caCertKey], after[caCertKey]), !cmp.Equal(before[corev1.TLSCertKey], after[corev1.TLSCertKey])
			if gotCA != tc.wantCA || gotLeaf != tc.wantLeaf {
				t.Errorf("another CA: %v, another certificate: %v; want %v and %v", gotCA, gotLeaf, tc.wantCA, tc.wantLeaf)
			}
		})
	}
}

// TestAReplicaThatIsTooLate: two replicas find the Secret empty; the second one's write is refused and it serves what
// the first one wrote.
func TestAReplicaThatIsTooLate(t *testing.T) {
	c := newCluster(t)
	stale := c.secret()
	c.reconcile()
	data, err := c.issuer.renew(stale.Data, c.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.store(t.Context(), stale, data); err != nil {
		t.Errorf("the refused write is an error: %v", err)
	}
	c.reconcile()
	if got, want := c.served.Load().leaf.Certificate[0], certificates(c.secret().Data[corev1.TLSCertKey])[0].Raw; !cmp.Equal(got, want) {
		t.Error("what is served is not what the Secret holds")
	}
}

func TestConfigurationsThatChange(t *testing.T) {
	c := settled(t)
	var m admissionregistrationv1.MutatingWebhookConfiguration
	if err := c.client.Get(t.Context(), types.NamespacedName{Name: "m"}, &m); err != nil {
		t.Fatal(err)
	}
	m.Webhooks[1].ClientConfig.CABundle = nil
	if err := c.client.Update(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	c.reconcile()
	if err := c.Ready(nil); err == nil {
		t.Error("ready although a webhook had no CA")
	}
	c.reconcile()
	if err := c.Ready(nil); err != nil {
		t.Errorf("after the CA is back Ready says %v", err)
	}
	// The way out of config/webhook.
	if err := c.client.Delete(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	c.reconcile()
	if err := c.Ready(nil); err != nil {
		t.Errorf("without the configuration Ready says %v", err)
	}
}

func TestReadyOnlyWhileTheCertificateIsValid(t *testing.T) {
	c := settled(t)
	for name, at := range map[string]time.Time{"before": begin.Add(-2 * backdated), "after": begin.Add(leafValidity + time.Minute)} {
		c.clock.SetTime(at)
		if err := c.Ready(nil); err == nil || !strings.Contains(err.Error(), "is valid from") {
			t.Errorf("%s its time Ready says %v", name, err)
		}
	}
}

func TestOptionsAreNeeded(t *testing.T) {
	err := Options{Secret: types.NamespacedName{Namespace: "ns"}}.validate()
	// In the order of the fields, so that the same mistake always has the same text.
	want := `no name of the Secret: set the one in config/webhook
no name of the Service: set the one in config/webhook
no name of the mutating configuration: set the one in config/webhook
no name of the validating configuration: set the one in config/webhook`
	if err == nil || err.Error() != want {
		t.Errorf("The error is\n%v\nwant\n%s", err, want)
	}
}
