// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// checkInterval is how often the validity of the certificates is checked. The check itself writes nothing.
	checkInterval = time.Hour
	fieldOwner    = client.FieldOwner("podtrail-cert-rotator")
)

var _ reconcile.Reconciler = &Manager{}

func (m *Manager) register(mgr ctrl.Manager) error {
	toSecret := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: m.options.Secret}}
	})
	everywhere, anyName := false, true
	err := builder.ControllerManagedBy(mgr).Named("webhook-certs").
		For(&corev1.Secret{}).
		Watches(&admissionregistrationv1.MutatingWebhookConfiguration{}, toSecret).
		Watches(&admissionregistrationv1.ValidatingWebhookConfiguration{}, toSecret).
		// The name is used only for metrics, and two managers may run in one test.
		// The priority queue can deadlock at its end: docs/decisions/0035-no-priority-queue.md.
		WithOptions(controller.Options{
			NeedLeaderElection: &everywhere, SkipNameValidation: &anyName, UsePriorityQueue: new(false),
		}).
		Complete(m)
	if err != nil {
		return fmt.Errorf("watching the Secret %s and the webhook configurations: %w", m.options.Secret, err)
	}
	return nil
}

// Reconcile renews the content of the Secret, makes the API server trust it, and serves it.
func (m *Manager) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var secret corev1.Secret
	if err := m.client.Get(ctx, m.options.Secret, &secret); err != nil {
		return reconcile.Result{}, fmt.Errorf("reading the Secret %s, which config/webhook creates empty: %w", m.options.Secret, err)
	}
	if renewed, err := m.issuer.renew(secret.Data, m.clock.Now()); err != nil || renewed != nil {
		return reconcile.Result{}, errors.Join(err, m.store(ctx, &secret, renewed))
	}
	next, err := readPair(secret.Data)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("the Secret %s: %w", m.options.Secret, err)
	}
	bundles, err := m.trust(ctx, next.ca)
	if err != nil {
		return reconcile.Result{}, err
	}
	wait := m.offer(next, m.announce(next.ca, bundles))
	m.trusted.Store(allContain(bundles, m.served.Load().ca))
	if wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	return reconcile.Result{RequeueAfter: checkInterval}, nil
}

// store writes the Secret. The event about the write causes the next pass. After a conflict, another replica has
// written it, and the event about that write causes the next pass.
func (m *Manager) store(ctx context.Context, secret *corev1.Secret, data map[string][]byte) error {
	if data == nil {
		return nil
	}
	secret.Data = data
	if err := m.client.Update(ctx, secret, fieldOwner); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("writing the Secret %s: %w", m.options.Secret, err)
	} else if err == nil {
		logf.FromContext(ctx).Info("Issued another certificate", "secret", m.options.Secret)
	}
	return nil
}

// announce returns the time since which all bundles have had the CA, or now if one of them does not have it.
func (m *Manager) announce(ca []byte, bundles [][]byte) time.Time {
	now := m.clock.Now()
	if !allContain(bundles, ca) {
		m.announced.ca = nil
		return now
	}
	if !bytes.Equal(m.announced.ca, ca) {
		m.announced.ca, m.announced.since = ca, now
	}
	return m.announced.since
}

func allContain(bundles [][]byte, ca []byte) bool {
	for _, b := range bundles {
		if !contains(b, ca) {
			return false
		}
	}
	return true
}

// trust adds the CA to both configurations where it is missing. It returns the bundles as they were before, because the
// API server may not have seen this replica's write yet. It skips a configuration that does not exist: without it
// nobody calls the webhooks. Deleting it is the documented way to switch them off.
func (m *Manager) trust(ctx context.Context, ca []byte) (before [][]byte, err error) {
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: m.options.MutatingConfiguration}}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: m.options.ValidatingConfiguration}}
	for _, configuration := range []client.Object{mutating, validating} {
		if err := m.client.Get(ctx, client.ObjectKeyFromObject(configuration), configuration); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("reading the configuration %s: %w", configuration.GetName(), err)
		}
		changed := false
		for _, clientConfig := range clientConfigs(configuration) {
			before = append(before, clientConfig.CABundle)
			if want := bundle(clientConfig.CABundle, ca, m.clock.Now()); !bytes.Equal(want, clientConfig.CABundle) {
				clientConfig.CABundle, changed = want, true
			}
		}
		if !changed {
			continue
		}
		// After a conflict, the event about the other write causes the next pass.
		if err := m.client.Update(ctx, configuration, fieldOwner); err != nil && !apierrors.IsConflict(err) {
			return nil, fmt.Errorf("writing the CA into the configuration %s: %w", configuration.GetName(), err)
		}
	}
	return before, nil
}

func clientConfigs(configuration client.Object) []*admissionregistrationv1.WebhookClientConfig {
	var all []*admissionregistrationv1.WebhookClientConfig
	switch c := configuration.(type) {
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		for i := range c.Webhooks {
			all = append(all, &c.Webhooks[i].ClientConfig)
		}
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		for i := range c.Webhooks {
			all = append(all, &c.Webhooks[i].ClientConfig)
		}
	}
	return all
}
