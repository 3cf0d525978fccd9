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
	// checkInterval is how often the times of the certificates are looked at; nothing is written by that alone.
	checkInterval = time.Hour
	fieldOwner    = client.FieldOwner("podtrail-cert-rotator")
)

var _ reconcile.Reconciler = &Keeper{}

func (k *Keeper) register(mgr ctrl.Manager) error {
	toSecret := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: k.options.Secret}}
	})
	everywhere, anyName := false, true
	err := builder.ControllerManagedBy(mgr).Named("webhook-certs").
		For(&corev1.Secret{}).
		Watches(&admissionregistrationv1.MutatingWebhookConfiguration{}, toSecret).
		Watches(&admissionregistrationv1.ValidatingWebhookConfiguration{}, toSecret).
		// The name is for metrics only, and two managers may run in one test.
		// Why not the priority queue: docs/decisions/0035-no-priority-queue.md.
		WithOptions(controller.Options{
			NeedLeaderElection: &everywhere, SkipNameValidation: &anyName, UsePriorityQueue: new(false),
		}).
		Complete(k)
	if err != nil {
		return fmt.Errorf("watching the Secret %s and the webhook configurations: %w", k.options.Secret, err)
	}
	return nil
}

// Reconcile renews what is in the Secret, sees to it that the API server trusts it, and serves it.
func (k *Keeper) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var secret corev1.Secret
	if err := k.client.Get(ctx, k.options.Secret, &secret); err != nil {
		return reconcile.Result{}, fmt.Errorf("reading the Secret %s (config/webhook has it, empty): %w", k.options.Secret, err)
	}
	if renewed, err := k.issuer.renew(secret.Data, k.clock.Now()); err != nil || renewed != nil {
		return reconcile.Result{}, errors.Join(err, k.store(ctx, &secret, renewed))
	}
	next, err := readPair(secret.Data)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("the Secret %s: %w", k.options.Secret, err)
	}
	bundles, err := k.trust(ctx, next.ca)
	if err != nil {
		return reconcile.Result{}, err
	}
	wait := k.offer(next, k.announce(next.ca, bundles))
	k.trusted.Store(allContain(bundles, k.served.Load().ca))
	if wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	return reconcile.Result{RequeueAfter: checkInterval}, nil
}

// store writes the Secret; the write's event brings the next pass. A replica that was quicker has done the same, and
// its event comes as well.
func (k *Keeper) store(ctx context.Context, secret *corev1.Secret, data map[string][]byte) error {
	if data == nil {
		return nil
	}
	secret.Data = data
	if err := k.client.Update(ctx, secret, fieldOwner); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("writing the Secret %s: %w", k.options.Secret, err)
	} else if err == nil {
		logf.FromContext(ctx).Info("Issued another certificate", "secret", k.options.Secret)
	}
	return nil
}

// announce returns since when all of the bundles have had the CA; now, if one of them has not.
func (k *Keeper) announce(ca []byte, bundles [][]byte) time.Time {
	now := k.clock.Now()
	if !allContain(bundles, ca) {
		k.announced.ca = nil
		return now
	}
	if !bytes.Equal(k.announced.ca, ca) {
		k.announced.ca, k.announced.since = ca, now
	}
	return k.announced.since
}

func allContain(bundles [][]byte, ca []byte) bool {
	for _, b := range bundles {
		if !contains(b, ca) {
			return false
		}
	}
	return true
}

// trust adds the CA to both configurations where it is missing and returns the bundles as they were before: what this
// replica has just written, the API server may not have seen yet. A configuration that somebody has taken away, the way
// out of config/webhook, calls nobody and needs nothing.
func (k *Keeper) trust(ctx context.Context, ca []byte) (before [][]byte, err error) {
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: k.options.MutatingConfiguration}}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: k.options.ValidatingConfiguration}}
	for _, configuration := range []client.Object{mutating, validating} {
		if err := k.client.Get(ctx, client.ObjectKeyFromObject(configuration), configuration); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("reading the configuration %s: %w", configuration.GetName(), err)
		}
		changed := false
		for _, clientConfig := range clientConfigs(configuration) {
			before = append(before, clientConfig.CABundle)
			if want := bundle(clientConfig.CABundle, ca, k.clock.Now()); !bytes.Equal(want, clientConfig.CABundle) {
				clientConfig.CABundle, changed = want, true
			}
		}
		if !changed {
			continue
		}
		// After a conflict the event of the other write brings the next pass.
		if err := k.client.Update(ctx, configuration, fieldOwner); err != nil && !apierrors.IsConflict(err) {
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
