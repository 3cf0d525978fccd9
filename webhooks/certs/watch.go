// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// secretWatch hands each state of the Secret to the Keeper.
type secretWatch struct {
	keeper *Keeper
	cache  cache.Cache
	log    logr.Logger
}

var (
	_ manager.Runnable               = &secretWatch{}
	_ manager.LeaderElectionRunnable = &secretWatch{}
)

// NeedLeaderElection reports that every replica watches.
func (*secretWatch) NeedLeaderElection() bool { return false }

// Start watches until the context ends.
func (w *secretWatch) Start(ctx context.Context) error {
	informer, err := w.cache.GetInformer(ctx, &corev1.Secret{})
	if err != nil {
		return fmt.Errorf("watching the Secret %s: %w", w.keeper.options.Secret, err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    w.take,
		UpdateFunc: func(_, current any) { w.take(current) },
	})
	if err != nil {
		return fmt.Errorf("watching the Secret %s: %w", w.keeper.options.Secret, err)
	}
	<-ctx.Done()
	return informer.RemoveEventHandler(registration)
}

func (w *secretWatch) take(object any) {
	secret, ok := object.(*corev1.Secret)
	if !ok || secret.Namespace != w.keeper.options.Secret.Namespace || secret.Name != w.keeper.options.Secret.Name {
		return
	}
	if err := w.keeper.load(secret); err != nil {
		w.log.Error(err, "Keeping the certificate that is served")
	}
}
