// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/faults"
	"podtrail.dev/podtrail/test/wrappers"
)

// upstream is Kubernetes' own ReplicaSet controller.
type upstream struct{}

var _ faults.Subject = upstream{}

func (upstream) Name() string { return "upstream" }

func (upstream) MakeOwner(namespace string, replicas int32, node string) client.Object {
	ours := wrappers.MakeTeachingReplicaSet(namespace, "web").Obj()
	ours.Spec.Template.Spec.NodeName = node
	return &appsv1.ReplicaSet{
		ObjectMeta: ours.ObjectMeta,
		Spec:       appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: &ours.Spec.Selector, Template: ours.Spec.Template},
	}
}

func (upstream) Status(owner client.Object) faults.Status {
	rs, ok := owner.(*appsv1.ReplicaSet)
	if !ok {
		return faults.Status{}
	}
	return faults.Status{
		Replicas: rs.Status.Replicas, FullyLabeled: rs.Status.FullyLabeledReplicas, Ready: rs.Status.ReadyReplicas,
		Available: rs.Status.AvailableReplicas, Terminating: ptr.Deref(rs.Status.TerminatingReplicas, -1),
		ObservedGeneration: rs.Status.ObservedGeneration, Conditions: len(rs.Status.Conditions),
	}
}

func (upstream) Run(ctx context.Context, cfg *rest.Config, namespace string, _ func(func() int)) error {
	cfg = rest.CopyConfig(cfg)
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	clientset, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(clientset, 0, informers.WithNamespace(namespace))
	controller := replicaset.NewReplicaSetController(ctx, factory.Apps().V1().ReplicaSets(), factory.Core().V1().Pods(),
		clientset, replicaset.BurstReplicas)
	factory.Start(ctx.Done())
	controller.Run(ctx, 5)
	factory.Shutdown()
	return nil
}
