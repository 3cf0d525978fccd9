// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"context"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// gatedClient sends nothing until the scheduler lets it, and panics at calls that the model has not.
type gatedClient struct {
	client.Client
	proc *process
}

func (c *gatedClient) send(call *call, into client.Object, do func(by *pass) (client.Object, error)) error {
	by := c.proc.pass
	call.do = func() (client.Object, error) { return do(by) }
	obj, err := c.proc.park(call)
	if err != nil || obj == nil {
		return err
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(obj.DeepCopyObject()).Elem())
	return nil
}

// Get implements client.Reader.
func (c *gatedClient) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	r, pod := owners, ""
	if _, isPod := obj.(*corev1.Pod); isPod {
		r, pod = pods, key.Name
	}
	return c.send(&call{what: fmt.Sprintf("get %s %s", r, key.Name), pod: pod}, obj, func(*pass) (client.Object, error) {
		if found := c.proc.world.server.live[r][key.Name]; found != nil {
			return found, nil
		}
		return nil, apierrors.NewNotFound(r.group(), key.Name)
	})
}

// Create implements client.Writer.
func (c *gatedClient) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	pod := obj.(*corev1.Pod).DeepCopy()
	return c.send(&call{what: "create " + pod.Name, writes: true, pod: pod.Name}, obj, func(by *pass) (client.Object, error) {
		return c.proc.world.server.createPod(pod, "create", by)
	})
}

// Delete implements client.Writer.
func (c *gatedClient) Delete(_ context.Context, obj client.Object, opts ...client.DeleteOption) error {
	options := (&client.DeleteOptions{}).ApplyOptions(opts)
	return c.send(&call{what: "delete " + obj.GetName(), writes: true}, nil, func(by *pass) (client.Object, error) {
		if options.Preconditions == nil {
			return nil, c.proc.world.server.deletePod(obj.GetName(), nil, "delete", by)
		}
		return nil, c.proc.world.server.deletePod(obj.GetName(), options.Preconditions.UID, "delete", by)
	})
}

// Patch implements client.Writer.
func (c *gatedClient) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	return c.send(&call{what: fmt.Sprintf("patch %s %s", obj.GetName(), data), writes: true}, obj, func(by *pass) (client.Object, error) {
		patched, err := c.proc.world.server.patchPod(obj.GetName(), data, by)
		if err == nil && by.owner != nil && controllerUID(patched) == by.owner.UID {
			by.adopted[obj.GetName()] = true
		}
		return patched, err
	})
}

// Status implements client.StatusClient.
func (c *gatedClient) Status() client.SubResourceWriter { return &statusWriter{client: c} }

type statusWriter struct {
	client.SubResourceWriter
	client *gatedClient
}

// Update implements client.SubResourceWriter.
func (w *statusWriter) Update(_ context.Context, obj client.Object, _ ...client.SubResourceUpdateOption) error {
	sent := obj.(*trs).DeepCopy()
	return w.client.send(&call{what: "status " + sent.Name, writes: true}, obj, func(by *pass) (client.Object, error) {
		return w.client.proc.world.server.updateStatus(sent, by)
	})
}
