// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/wrappers"
)

// TestCreatedPods checks what a Pod gets from the template and from its owner.
func TestCreatedPods(t *testing.T) {
	namespace := newNamespace(t)
	startController(t, namespace)
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").
		TemplateLabels(map[string]string{"app": "web", "tier": "front"}).
		TemplateAnnotation("example.com/note", "kept").
		TemplateFinalizer("example.com/kept").Obj()
	create(t.Context(), t, owner)
	pod := awaitPods(t, owner, 1)[0]

	if diff := cmp.Diff(owner.Spec.Template.Labels, pod.Labels); diff != "" {
		t.Errorf("Labels differ from the template's (-want +got):\n%s", diff)
	}
	if got := pod.Annotations["example.com/note"]; got != "kept" {
		t.Errorf("The template's annotation is %q on the Pod, want \"kept\"", got)
	}
	if diff := cmp.Diff([]string{"example.com/kept"}, pod.Finalizers); diff != "" {
		t.Errorf("Finalizers differ (-want +got):\n%s", diff)
	}
	want := []metav1.OwnerReference{*metav1.NewControllerRef(owner, podtrailv1alpha1.GroupVersion.WithKind(podtrailv1alpha1.Kind))}
	if diff := cmp.Diff(want, pod.OwnerReferences); diff != "" {
		t.Errorf("Owner references differ (-want +got):\n%s", diff)
	}
}

// TestHeal checks that a deleted Pod is replaced at once, while it is still terminating.
func TestHeal(t *testing.T) {
	namespace := newNamespace(t)
	startController(t, namespace)
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(3).TemplateFinalizer("example.com/hold").Obj()
	create(t.Context(), t, owner)
	victim := awaitPods(t, owner, 3)[0]
	if err := k8sClient.Delete(t.Context(), &victim); err != nil {
		t.Fatalf("Deleting a Pod: %v", err)
	}
	await(t, "a fourth Pod beside the terminating one", func(ctx context.Context) error {
		owned, err := ownedPods(ctx, owner)
		if err != nil {
			return err
		}
		get(ctx, t, owner)
		if len(owned) != 4 || owner.Status.Replicas != 3 || *owner.Status.TerminatingReplicas != 1 {
			return fmt.Errorf("%d Pods, status %+v", len(owned), owner.Status)
		}
		return nil
	})
}

// TestPaused checks that a paused object neither creates nor deletes nor adopts, and that its status is kept.
func TestPaused(t *testing.T) {
	namespace := newNamespace(t)
	startController(t, namespace)
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(2).Obj()
	create(t.Context(), t, owner)
	pods := awaitPods(t, owner, 2)
	update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Spec.Paused = true })
	orphan := wrappers.MakePod(namespace, "orphan").Label("app", "web").Obj()
	create(t.Context(), t, orphan)
	if err := k8sClient.Delete(t.Context(), &pods[0]); err != nil {
		t.Fatalf("Deleting a Pod: %v", err)
	}
	awaitPods(t, owner, 1)
	hold(t, "one Pod while paused", func(ctx context.Context) error {
		owned, err := ownedPods(ctx, owner)
		if err == nil && len(owned) != 1 {
			err = fmt.Errorf("it has %d Pods", len(owned))
		}
		return err
	})
	update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Spec.Paused = false })
	awaitPods(t, owner, 2)
	get(t.Context(), t, orphan)
	if !metav1.IsControlledBy(orphan, owner) {
		t.Error("The orphan was not adopted when the object was no longer paused")
	}
}

// TestMinReadySeconds checks that a Pod becomes available when its time has come, with nothing else happening.
func TestMinReadySeconds(t *testing.T) {
	namespace := newNamespace(t)
	startController(t, namespace)
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").MinReadySeconds(3).Obj()
	create(t.Context(), t, owner)
	pod := awaitPods(t, owner, 1)[0]
	setReady(t.Context(), t, &pod, time.Now())
	awaitCounts(t, owner, 1, 0)
	awaitCounts(t, owner, 1, 1)
}

// TestQuota checks that what a quota refuses is reported as a condition and an event, and made up for later.
func TestQuota(t *testing.T) {
	namespace := newNamespace(t)
	quota := makePodQuota(t, namespace, "0")
	startController(t, namespace)
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(2).Obj()
	create(t.Context(), t, owner)
	awaitFailure(t, owner, podtrailv1alpha1.FailedCreateReason)
	awaitEvent(t, owner, podtrailv1alpha1.FailedCreateReason)
	if err := k8sClient.Delete(t.Context(), quota); err != nil {
		t.Fatalf("Deleting the quota: %v", err)
	}
	awaitPods(t, owner, 2)
	awaitEvent(t, owner, podtrailv1alpha1.SuccessfulCreateReason)
	awaitFailure(t, owner, "")
}

// TestLongRefusal checks that a refusal that is too long for an event is reported by one all the same. Pod Security's
// lists each container for each of its rules.
func TestLongRefusal(t *testing.T) {
	namespace := newNamespace(t)
	update(t.Context(), t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, func(n *corev1.Namespace) {
		n.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	})
	startController(t, namespace)
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Template(func(s *corev1.PodSpec) {
		for i := range 12 {
			container := s.Containers[0]
			container.Name = fmt.Sprintf("a-container-with-a-name-as-long-as-people-give-them-%d", i)
			s.Containers = append(s.Containers, container)
		}
	}).Obj()
	create(t.Context(), t, owner)
	awaitFailure(t, owner, podtrailv1alpha1.FailedCreateReason)
	if message := owner.Status.Conditions[0].Message; len(message) <= 1024 {
		t.Fatalf("The refusal has %d bytes, want more than an event holds: %s", len(message), message)
	}
	awaitEvent(t, owner, podtrailv1alpha1.FailedCreateReason)
	// Otherwise a later test's manager, which sees all namespaces, would go on trying.
	if err := k8sClient.Delete(t.Context(), owner); err != nil {
		t.Fatalf("Deleting the object: %v", err)
	}
}

// TestForeignNameHolder checks that a Pod of somebody else that holds a slot's name is neither taken nor touched.
func TestForeignNameHolder(t *testing.T) {
	namespace := newNamespace(t)
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Obj()
	stop := startController(t, namespace)
	create(t.Context(), t, owner)
	first := awaitPods(t, owner, 1)[0].Name
	stop()
	if err := k8sClient.Delete(t.Context(), wrappers.MakePod(namespace, first).Obj()); err != nil {
		t.Fatalf("Deleting the Pod: %v", err)
	}
	foreign := wrappers.MakePod(namespace, first).Label("someone", "else").Obj()
	create(t.Context(), t, foreign)
	startController(t, namespace)
	if second := awaitPods(t, owner, 1)[0].Name; second == first {
		t.Errorf("The Pod is still called %s", first)
	}
	get(t.Context(), t, foreign)
	if len(foreign.OwnerReferences) > 0 {
		t.Errorf("The foreign Pod was given owners: %v", foreign.OwnerReferences)
	}
}

// TestSameNameRecreation checks that an object made again under its name leaves the first one's Pods alone.
func TestSameNameRecreation(t *testing.T) {
	namespace := newNamespace(t)
	startController(t, namespace)
	first := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(2).Obj()
	create(t.Context(), t, first)
	awaitPods(t, first, 2)
	// Without a garbage collector the Pods stay, with a reference to an owner that no longer exists.
	if err := k8sClient.Delete(t.Context(), first); err != nil {
		t.Fatalf("Deleting the first object: %v", err)
	}
	second := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(3).Obj()
	create(t.Context(), t, second)
	awaitPods(t, second, 3)
	left, err := ownedPods(t.Context(), first)
	if err != nil || len(left) != 2 {
		t.Errorf("The first object has %d Pods and error %v, want its 2", len(left), err)
	}
}

// TestScaleSubresourceSelector checks what an autoscaler needs: the selector as a string, and replicas both ways.
func TestScaleSubresourceSelector(t *testing.T) {
	namespace := newNamespace(t)
	startController(t, namespace)
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(1).Obj()
	create(t.Context(), t, owner)
	awaitPods(t, owner, 1)
	scale := &autoscalingv1.Scale{}
	if err := k8sClient.SubResource("scale").Get(t.Context(), owner, scale); err != nil {
		t.Fatalf("Reading scale: %v", err)
	}
	if scale.Status.Selector != "app=web" || scale.Status.Replicas != 1 || scale.Spec.Replicas != 1 {
		t.Errorf("scale is %+v", scale)
	}
	scale.Spec.Replicas = 4
	if err := k8sClient.SubResource("scale").Update(t.Context(), owner, client.WithSubResourceBody(scale)); err != nil {
		t.Fatalf("Writing scale: %v", err)
	}
	get(t.Context(), t, owner)
	awaitPods(t, owner, 4)
}

func awaitCounts(t *testing.T, owner *podtrailv1alpha1.TeachingReplicaSet, ready, available int32) {
	t.Helper()
	await(t, fmt.Sprintf("%d ready and %d available", ready, available), func(ctx context.Context) error {
		get(ctx, t, owner)
		if s := owner.Status; s.ReadyReplicas != ready || s.AvailableReplicas != available {
			return fmt.Errorf("status is %+v", s)
		}
		return nil
	})
}

// awaitEvent waits for an event about owner with a reason.
func awaitEvent(t *testing.T, owner *podtrailv1alpha1.TeachingReplicaSet, reason string) {
	t.Helper()
	await(t, "an event "+reason, func(ctx context.Context) error {
		var events eventsv1.EventList
		if err := k8sClient.List(ctx, &events, client.InNamespace(owner.Namespace)); err != nil {
			return err
		}
		for i := range events.Items {
			if e := &events.Items[i]; e.Regarding.UID == owner.UID && e.Reason == reason && e.Action != "" {
				return nil
			}
		}
		return errors.New("there is none")
	})
}
