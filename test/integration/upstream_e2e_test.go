// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/wrappers"
)

// TestReplicaSetEndToEnd has the cases of Kubernetes' test/e2e/apps/replica_set.go, under their names, that need no
// node. Readiness is written by the test, as a kubelet would.
func TestReplicaSetEndToEnd(t *testing.T) {
	t.Run("should surface a failure condition on a common issue like exceeded quota", func(t *testing.T) {
		namespace := newNamespace(t)
		makePodQuota(t, namespace, "2")
		startController(t, namespace)
		owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(3).Obj()
		create(t.Context(), t, owner)
		awaitFailure(t, owner, podtrailv1alpha1.FailedCreateReason)
		update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Spec.Replicas = ptr.To[int32](2) })
		awaitFailure(t, owner, "")
		awaitPods(t, owner, 2)
	})

	t.Run("should adopt matching pods on creation and release no longer matching pods", func(t *testing.T) {
		namespace := newNamespace(t)
		startController(t, namespace)
		pod := wrappers.MakePod(namespace, "orphan").Label("app", "web").Obj()
		create(t.Context(), t, pod)
		owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Obj()
		create(t.Context(), t, owner)
		if got := awaitPods(t, owner, 1)[0]; got.UID != pod.UID {
			t.Fatalf("The owner made Pod %s and did not adopt the orphan", got.Name)
		}
		get(t.Context(), t, pod)
		update(t.Context(), t, pod, func(p *corev1.Pod) { p.Labels["app"] = "not-matching" })
		await(t, "the Pod is released", func(ctx context.Context) error {
			get(ctx, t, pod)
			if len(pod.OwnerReferences) > 0 {
				return fmt.Errorf("its references are %v", pod.OwnerReferences)
			}
			return nil
		})
	})

	t.Run("Replicaset should have a working scale subresource", func(t *testing.T) {
		owner := startWith(t, 1)
		scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 2}}
		if err := k8sClient.SubResource("scale").Update(t.Context(), owner, client.WithSubResourceBody(scale)); err != nil {
			t.Fatalf("Updating scale: %v", err)
		}
		get(t.Context(), t, owner)
		awaitPods(t, owner, 2)
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":4}}`))
		if err := k8sClient.SubResource("scale").Patch(t.Context(), owner, patch, client.WithSubResourceBody(scale)); err != nil {
			t.Fatalf("Patching scale: %v", err)
		}
		get(t.Context(), t, owner)
		if *owner.Spec.Replicas != 4 {
			t.Errorf("spec.replicas is %d, want 4", *owner.Spec.Replicas)
		}
		awaitPods(t, owner, 4)
	})

	t.Run("Replace and Patch tests", func(t *testing.T) {
		owner := startWith(t, 1)
		get(t.Context(), t, owner)
		owner.Spec.Replicas = ptr.To[int32](2)
		if err := k8sClient.Update(t.Context(), owner); err != nil {
			t.Fatalf("Replacing: %v", err)
		}
		awaitPods(t, owner, 2)
		update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) {
			o.Labels = map[string]string{"test-rs": "patched"}
			o.Spec.Replicas = ptr.To[int32](3)
			o.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0)
			o.Spec.Template.Spec.Containers = []corev1.Container{{Name: "patched", Image: "registry.example/app:2"}}
		})
		pods := awaitPods(t, owner, 3)
		newest := slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.Containers[0].Name == "patched" })
		if !newest {
			t.Error("The Pod that was made after the patch is not from the patched template")
		}
		for i := range pods {
			setReady(t.Context(), t, &pods[i], time.Now())
		}
		awaitCounts(t, owner, 3, 3)
	})

	t.Run("should list and delete a collection of ReplicaSets", func(t *testing.T) {
		owner := startWith(t, 3, func(w *wrappers.TeachingReplicaSetWrapper) {
			w.Obj().Labels = map[string]string{"e2e": "collection"}
		})
		within := []client.ListOption{client.InNamespace(owner.Namespace), client.MatchingLabels(owner.Labels)}
		var list podtrailv1alpha1.TeachingReplicaSetList
		if err := k8sClient.List(t.Context(), &list, within...); err != nil || len(list.Items) != 1 {
			t.Fatalf("Listing gave %d objects and %v, want 1", len(list.Items), err)
		}
		err := k8sClient.DeleteAllOf(t.Context(), &podtrailv1alpha1.TeachingReplicaSet{},
			client.InNamespace(owner.Namespace), client.MatchingLabels(owner.Labels))
		if err != nil {
			t.Fatalf("Deleting the collection: %v", err)
		}
		if err := k8sClient.List(t.Context(), &list, within...); err != nil || len(list.Items) != 0 {
			t.Errorf("Listing gave %d objects and %v, want none", len(list.Items), err)
		}
	})

	t.Run("should validate Replicaset Status endpoints", func(t *testing.T) {
		owner := startWith(t, 1)
		condition := func(name string) metav1.Condition {
			return metav1.Condition{Type: name, Status: metav1.ConditionTrue, Reason: "E2E", Message: "Set from a test"}
		}
		await(t, "the status is updated", func(ctx context.Context) error {
			get(ctx, t, owner)
			apimeta.SetStatusCondition(&owner.Status.Conditions, condition("StatusUpdate"))
			return k8sClient.Status().Update(ctx, owner)
		})
		before := owner.DeepCopy()
		apimeta.SetStatusCondition(&owner.Status.Conditions, condition("StatusPatched"))
		if err := k8sClient.Status().Patch(t.Context(), owner, client.MergeFrom(before)); err != nil {
			t.Fatalf("Patching the status: %v", err)
		}
		// The controller's own next write keeps what others have set.
		update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Spec.Replicas = ptr.To[int32](2) })
		awaitPods(t, owner, 2)
		for _, name := range []string{"StatusUpdate", "StatusPatched"} {
			if !apimeta.IsStatusConditionTrue(owner.Status.Conditions, name) {
				t.Errorf("Condition %s is gone; left are %v", name, owner.Status.Conditions)
			}
		}
	})
}

// makePodQuota allows a number of Pods. It writes the status that the quota controller would write.
func makePodQuota(t *testing.T, namespace, pods string) *corev1.ResourceQuota {
	t.Helper()
	hard := corev1.ResourceList{corev1.ResourcePods: resource.MustParse(pods)}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
	}
	create(t.Context(), t, quota)
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}
	if err := k8sClient.Status().Update(t.Context(), quota); err != nil {
		t.Fatalf("Writing the quota's status: %v", err)
	}
	return quota
}

// awaitFailure waits for the ReplicaFailure condition with a reason, or, without one, until there is none.
func awaitFailure(t *testing.T, owner *podtrailv1alpha1.TeachingReplicaSet, reason string) {
	t.Helper()
	await(t, fmt.Sprintf("condition ReplicaFailure with reason %q", reason), func(ctx context.Context) error {
		get(ctx, t, owner)
		condition := apimeta.FindStatusCondition(owner.Status.Conditions, podtrailv1alpha1.ReplicaFailure)
		switch {
		case condition == nil && reason != "":
			return errors.New("there is none")
		case condition != nil && condition.Reason != reason:
			return fmt.Errorf("it is %+v", *condition)
		}
		return nil
	})
}
