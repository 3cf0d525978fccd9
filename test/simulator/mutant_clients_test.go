// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// wrongClient sends something other than it is asked to send, or returns something other than the answer.
type wrongClient struct {
	client.Client
	create func(context.Context, *corev1.Pod) error
	delete func(context.Context, client.Object, ...client.DeleteOption) error
	patch  func(context.Context, client.Object, client.Patch) error
	status func(context.Context, client.Object) error
}

// Create implements client.Writer.
func (c *wrongClient) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	if pod, ok := obj.(*corev1.Pod); ok && c.create != nil {
		return c.create(ctx, pod)
	}
	return c.Client.Create(ctx, obj, opts...)
}

// Delete implements client.Writer.
func (c *wrongClient) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	if c.delete != nil {
		return c.delete(ctx, obj, opts...)
	}
	return c.Client.Delete(ctx, obj, opts...)
}

// Patch implements client.Writer.
func (c *wrongClient) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if c.patch != nil {
		return c.patch(ctx, obj, patch)
	}
	return c.Client.Patch(ctx, obj, patch, opts...)
}

// Status implements client.StatusClient.
func (c *wrongClient) Status() client.SubResourceWriter {
	return &wrongStatus{SubResourceWriter: c.Client.Status(), update: c.status}
}

type wrongStatus struct {
	client.SubResourceWriter
	update func(context.Context, client.Object) error
}

// Update implements client.SubResourceWriter.
func (w *wrongStatus) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	if w.update != nil {
		return w.update(ctx, obj)
	}
	return w.SubResourceWriter.Update(ctx, obj, opts...)
}

func givesNewNames(p *process, c client.Client) client.Client {
	return &wrongClient{Client: c, create: func(ctx context.Context, pod *corev1.Pod) error {
		pod.Name = fmt.Sprintf("%s-%d", pod.Name, p.world.server.version)
		return c.Create(ctx, pod)
	}}
}

func renamesAfterFailure(_ *process, c client.Client) client.Client {
	var mu sync.Mutex
	failures := map[string]int{}
	count := func(name string, more int) int {
		mu.Lock()
		defer mu.Unlock()
		failures[name] += more
		return failures[name]
	}
	return &wrongClient{Client: c, create: func(ctx context.Context, pod *corev1.Pod) error {
		name := pod.Name
		if n := count(name, 0); n > 0 {
			pod.Name = fmt.Sprintf("%s-%d", name, n)
		}
		err := c.Create(ctx, pod)
		if err != nil {
			count(name, 1)
		}
		return err
	}}
}

func takesLossForRefusal(_ *process, c client.Client) client.Client {
	return &wrongClient{Client: c, create: func(ctx context.Context, pod *corev1.Pod) error {
		err := c.Create(ctx, pod)
		if err == nil || apierrors.IsAlreadyExists(err) || apierrors.IsForbidden(err) {
			return err
		}
		return apierrors.NewForbidden(pods.group(), pod.Name, err)
	}}
}

func takesAnyPod(p *process, c client.Client) client.Client {
	return &wrongClient{Client: c, create: func(ctx context.Context, pod *corev1.Pod) error {
		err := c.Create(ctx, pod)
		if holder := p.world.server.pod(pod.Name); apierrors.IsAlreadyExists(err) && holder != nil {
			holder.DeepCopyInto(pod)
			return nil
		}
		return err
	}}
}

func deletesByName(_ *process, c client.Client) client.Client {
	return &wrongClient{Client: c, delete: func(ctx context.Context, obj client.Object, _ ...client.DeleteOption) error {
		return c.Delete(ctx, obj)
	}}
}

func deletesOneMore(p *process, c client.Client) client.Client {
	return &wrongClient{Client: c, delete: func(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
		for _, name := range slices.Sorted(maps.Keys(p.pass.saw)) {
			if other := p.pass.saw[name]; name != obj.GetName() && controllerUID(other) == p.pass.owner.UID {
				_ = c.Delete(ctx, other, client.Preconditions{UID: &other.UID})
				break
			}
		}
		return c.Delete(ctx, obj, opts...)
	}}
}

// releasesAnyone takes the controller away that a Pod has, whichever it is.
func releasesAnyone(p *process, c client.Client) client.Client {
	return &wrongClient{Client: c, patch: func(ctx context.Context, obj client.Object, patch client.Patch) error {
		data, err := patch.Data(obj)
		if err != nil {
			return err
		}
		if pod := p.world.server.pod(obj.GetName()); pod != nil && bytes.Contains(data, []byte(`"$patch":"delete"`)) {
			data = fmt.Appendf(nil, `{"metadata":{"ownerReferences":[{"$patch":"delete","uid":%q}]}}`, controllerUID(pod))
		}
		return c.Patch(ctx, obj, client.RawPatch(types.StrategicMergePatchType, data))
	}}
}

func writesStatusFirst(p *process, c client.Client) client.Client {
	return &wrongClient{Client: c, create: func(ctx context.Context, pod *corev1.Pod) error {
		early := p.pass.owner.DeepCopy()
		early.Status.ObservedGeneration = early.Generation
		early.Status.Replicas = *early.Spec.Replicas
		return errors.Join(c.Status().Update(ctx, early), c.Create(ctx, pod))
	}}
}

func ignoresStatusErrors(_ *process, c client.Client) client.Client {
	return &wrongClient{Client: c, status: func(ctx context.Context, obj client.Object) error {
		_ = c.Status().Update(ctx, obj)
		return nil
	}}
}

// cachedReader answers for owners from the cache.
type cachedReader struct {
	client.Reader
	proc *process
}

// Get implements client.Reader.
func (r *cachedReader) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	into, isOwner := obj.(*trs)
	if !isOwner {
		return r.Reader.Get(ctx, key, obj, opts...)
	}
	owner, exists := r.proc.informers[owners].store[key.Name].(*trs)
	if !exists {
		return apierrors.NewNotFound(owners.group(), key.Name)
	}
	owner.DeepCopyInto(into)
	return nil
}
