// SPDX-License-Identifier: Apache-2.0

package plane

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watch calls a handler with each object of its kind in a namespace, as it is now and whenever it changes, until ctx
// ends; exists is false when it is gone. It is a cache, because the API server ends the watch of a client that falls
// behind. Calls for one kind come one after another.
func (p *Plane) Watch(ctx context.Context, namespace string, handlers map[client.Object]func(obj any, exists bool)) error {
	watched, err := cache.New(p.Config, cache.Options{
		Scheme: p.Client.Scheme(), DefaultNamespaces: map[string]cache.Config{namespace: {}},
		DefaultTransform: cache.TransformStripManagedFields(),
	})
	if err != nil {
		return fmt.Errorf("making the watch: %w", err)
	}
	go func() {
		// It ends with ctx; what goes wrong before shows as a time-out.
		_ = watched.Start(ctx)
	}()
	for obj, handle := range handlers {
		informer, err := watched.GetInformer(ctx, obj)
		if err != nil {
			return fmt.Errorf("watching %T: %w", obj, err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { handle(obj, true) },
			UpdateFunc: func(_, obj any) { handle(obj, true) },
			DeleteFunc: func(obj any) {
				if tombstone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
					obj = tombstone.Obj
				}
				handle(obj, false)
			},
		}); err != nil {
			return fmt.Errorf("watching %T: %w", obj, err)
		}
	}
	return nil
}
