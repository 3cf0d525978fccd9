// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/wrappers"
)

// The tests of this file have the names and the cases of Kubernetes' test/integration/replicaset/replicaset_test.go,
// against TeachingReplicaSet. test/upstream-tests.md lists them.

// ownerRef is a reference to a TeachingReplicaSet, without controller and blockOwnerDeletion unless they are given.
func ownerRef(owner *podtrailv1alpha1.TeachingReplicaSet, controller, block *bool) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: podtrailv1alpha1.GroupVersion.String(), Kind: podtrailv1alpha1.Kind,
		Name: owner.Name, UID: owner.UID, Controller: controller, BlockOwnerDeletion: block,
	}
}

func TestAdoption(t *testing.T) {
	yes := ptr.To(true)
	another := metav1.OwnerReference{
		APIVersion: podtrailv1alpha1.GroupVersion.String(), Kind: podtrailv1alpha1.Kind,
		Name: "another", UID: "1", Controller: yes,
	}
	tests := map[string]struct {
		references func(*podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference
		want       func(*podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference
	}{
		"refers to the object as an owner, not a controller": {
			references: func(o *podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference {
				return []metav1.OwnerReference{ownerRef(o, nil, nil)}
			},
			want: func(o *podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference {
				return []metav1.OwnerReference{ownerRef(o, yes, yes)}
			},
		},
		"has no references": {
			references: func(*podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference { return nil },
			want: func(o *podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference {
				return []metav1.OwnerReference{ownerRef(o, yes, yes)}
			},
		},
		"refers to the object as a controller": {
			references: func(o *podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference {
				return []metav1.OwnerReference{ownerRef(o, yes, nil)}
			},
			want: func(o *podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference {
				return []metav1.OwnerReference{ownerRef(o, yes, nil)}
			},
		},
		"refers to another as the controller and to the object as an owner": {
			references: func(o *podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference {
				return []metav1.OwnerReference{another, ownerRef(o, nil, nil)}
			},
			want: func(o *podtrailv1alpha1.TeachingReplicaSet) []metav1.OwnerReference {
				return []metav1.OwnerReference{another, ownerRef(o, nil, nil)}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t)
			owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Obj()
			create(t.Context(), t, owner)
			pod := wrappers.MakePod(namespace, "pod").Label("app", "web").Obj()
			pod.OwnerReferences = tc.references(owner)
			create(t.Context(), t, pod)
			startController(t, namespace)
			// The owner has its one Pod: this one, or one of its own.
			awaitPods(t, owner, 1)
			get(t.Context(), t, pod)
			if diff := cmp.Diff(tc.want(owner), pod.OwnerReferences); diff != "" {
				t.Errorf("References differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRSSelectorImmutability(t *testing.T) {
	owner := wrappers.MakeTeachingReplicaSet(newNamespace(t), "web").Replicas(0).Obj()
	create(t.Context(), t, owner)
	changed := map[string]string{"changed": "selector"}
	owner.Spec.Selector.MatchLabels, owner.Spec.Template.Labels = changed, changed
	err := k8sClient.Update(t.Context(), owner)
	if err == nil || !strings.Contains(err.Error(), "Invalid value") || !strings.Contains(err.Error(), "field is immutable") {
		t.Errorf("Got %v, want that the field is immutable", err)
	}
}

func TestSpecReplicasChange(t *testing.T) {
	owner := startWith(t, 2)
	for _, replicas := range []int32{3, 0, 2} {
		update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Spec.Replicas = &replicas })
		awaitPods(t, owner, int(replicas))
	}
	before := owner.Generation
	update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) {
		o.Spec.Template.Annotations = map[string]string{"test": "annotation"}
	})
	if owner.Generation == before {
		t.Fatalf("The generation is still %d after a change of the template", before)
	}
	awaitPods(t, owner, 2)
}

func TestDeletingAndFailedPods(t *testing.T) {
	owner := startWith(t, 2)
	pods := awaitPods(t, owner, 2)
	deleting, failed := &pods[0], &pods[1]
	update(t.Context(), t, deleting, func(p *corev1.Pod) { p.Finalizers = []string{"fake.example.com/block-deletion"} })
	deletePod(t, deleting)
	setPodStatus(t.Context(), t, failed, corev1.PodStatus{Phase: corev1.PodFailed})
	await(t, "two new Pods beside the deleted and the failed one", func(ctx context.Context) error {
		all, err := ownedPods(ctx, owner)
		if err != nil {
			return err
		}
		if len(all) != 4 || !hasUID(all, deleting.UID) || !hasUID(all, failed.UID) {
			return fmt.Errorf("it has %d Pods", len(all))
		}
		return nil
	})
}

func TestPodDeletionCost(t *testing.T) {
	tests := map[string]struct {
		costs      []string
		wantRemain int
	}{
		"different costs": {costs: []string{"1000", "100"}, wantRemain: 0},
		"same costs":      {costs: []string{"100", "100"}, wantRemain: 1},
		"no costs":        {wantRemain: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			owner := startWith(t, 2)
			pods := awaitPods(t, owner, 2)
			for i := range pods {
				if tc.costs != nil {
					update(t.Context(), t, &pods[i], func(p *corev1.Pod) {
						p.Annotations = map[string]string{corev1.PodDeletionCost: tc.costs[i]}
					})
				}
				restarts := []int32{5, 0}[i]
				setPodStatus(t.Context(), t, &pods[i], corev1.PodStatus{
					ContainerStatuses: []corev1.ContainerStatus{{Name: "app", RestartCount: restarts}},
				})
			}
			update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Spec.Replicas = ptr.To[int32](1) })
			if left := awaitPods(t, owner, 1)[0]; left.UID != pods[tc.wantRemain].UID {
				t.Errorf("Pod %s is left, want %s", left.Name, pods[tc.wantRemain].Name)
			}
		})
	}
}

func TestOverlappingRSs(t *testing.T) {
	namespace := newNamespace(t)
	startController(t, namespace)
	shared := metav1.LabelSelector{MatchLabels: map[string]string{"foo": "bar"}}
	var owners []*podtrailv1alpha1.TeachingReplicaSet
	for i := range int32(2) {
		owner := wrappers.MakeTeachingReplicaSet(namespace, fmt.Sprintf("rs-%d", i+1)).
			Replicas(i + 1).Selector(shared).TemplateLabels(shared.MatchLabels).Obj()
		create(t.Context(), t, owner)
		awaitPods(t, owner, int(i+1))
		owners = append(owners, owner)
	}
	hold(t, "both keep their Pods", func(ctx context.Context) error {
		pods, err := listPods(ctx, namespace)
		if err == nil && len(pods) != 3 {
			err = fmt.Errorf("there are %d Pods", len(pods))
		}
		return err
	})
	for i, owner := range owners {
		awaitPods(t, owner, i+1)
	}
}

func TestPodOrphaningAndAdoptionWhenLabelsChange(t *testing.T) {
	owner := startWith(t, 1)
	pod := awaitPods(t, owner, 1)[0]
	update(t.Context(), t, &pod, func(p *corev1.Pod) { p.Labels = map[string]string{"new-foo": "new-bar"} })
	await(t, "the Pod is released", func(ctx context.Context) error {
		get(ctx, t, &pod)
		if metav1.GetControllerOf(&pod) != nil {
			return fmt.Errorf("its references are %v", pod.OwnerReferences)
		}
		return nil
	})
	awaitPods(t, owner, 1)
	update(t.Context(), t, &pod, func(p *corev1.Pod) { p.Labels = map[string]string{"app": "web"} })
	// It is adopted, and then it or the Pod that took its place is deleted.
	await(t, "one Pod, and that controlled", func(ctx context.Context) error {
		pods, err := listPods(ctx, owner.Namespace)
		if err != nil {
			return err
		}
		if len(pods) != 1 || !metav1.IsControlledBy(&pods[0], owner) {
			return fmt.Errorf("there are %d Pods", len(pods))
		}
		return nil
	})
}

func TestGeneralPodAdoption(t *testing.T) {
	owner := startWith(t, 1)
	pod := awaitPods(t, owner, 1)[0]
	no := ptr.To(false)
	statefulSet := metav1.OwnerReference{
		APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: types.UID("4b0ee4f0-8d3a-4a55-b0e8-2d2d3a5a4f0e"), Controller: no,
	}
	tests := []struct {
		name      string
		reference metav1.OwnerReference
		want      int
	}{
		{"refers to another kind, not as its controller", statefulSet, 2},
		{"refers to the object, not as its controller", ownerRef(owner, no, nil), 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			update(t.Context(), t, &pod, func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{tc.reference} })
			await(t, "the Pod is adopted", func(ctx context.Context) error {
				if err := k8sClient.Get(ctx, client.ObjectKeyFromObject(&pod), &pod); err != nil {
					return err
				}
				if !metav1.IsControlledBy(&pod, owner) || len(pod.OwnerReferences) != tc.want {
					return fmt.Errorf("its references are %v", pod.OwnerReferences)
				}
				return nil
			})
		})
	}
}

func TestReadyAndAvailableReplicas(t *testing.T) {
	owner := startWith(t, 3, func(w *wrappers.TeachingReplicaSetWrapper) { w.MinReadySeconds(3600) })
	pods := awaitPods(t, owner, 3)
	if owner.Status.AvailableReplicas != 0 {
		t.Fatalf("%d Pods are available before any is ready", owner.Status.AvailableReplicas)
	}
	setPodStatus(t.Context(), t, &pods[0], corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.Now()},
	}})
	setReady(t.Context(), t, &pods[1], time.Now())
	setReady(t.Context(), t, &pods[2], time.Now().Add(-2*time.Hour))
	awaitCounts(t, owner, 2, 1)
}

func TestRSScaleSubresource(t *testing.T) {
	owner := startWith(t, 1)
	for _, replicas := range []int32{3, 0} {
		scale := &autoscalingv1.Scale{}
		if err := k8sClient.SubResource("scale").Get(t.Context(), owner, scale); err != nil {
			t.Fatalf("Reading scale: %v", err)
		}
		get(t.Context(), t, owner)
		if scale.Spec.Replicas != *owner.Spec.Replicas || scale.Status.Selector != "app=web" {
			t.Fatalf("scale is %+v, want %d replicas and the selector app=web", scale, *owner.Spec.Replicas)
		}
		scale.Spec.Replicas = replicas
		if err := k8sClient.SubResource("scale").Update(t.Context(), owner, client.WithSubResourceBody(scale)); err != nil {
			t.Fatalf("Writing scale: %v", err)
		}
		get(t.Context(), t, owner)
		if *owner.Spec.Replicas != replicas {
			t.Fatalf("spec.replicas is %d, want scale's %d", *owner.Spec.Replicas, replicas)
		}
		awaitPods(t, owner, int(replicas))
	}
}

func TestExtraPodsAdoptionAndDeletion(t *testing.T) {
	namespace := newNamespace(t)
	owner := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(2).Obj()
	create(t.Context(), t, owner)
	for i := range 3 {
		create(t.Context(), t, wrappers.MakePod(namespace, fmt.Sprintf("pod-%d", i+1)).Label("app", "web").Obj())
	}
	startController(t, namespace)
	awaitPods(t, owner, 2)
	pods, err := listPods(t.Context(), namespace)
	if err != nil || len(pods) != 2 {
		t.Errorf("There are %d Pods and error %v, want the 2 of the owner", len(pods), err)
	}
}

func TestFullyLabeledReplicas(t *testing.T) {
	owner := startWith(t, 2)
	pods := awaitPods(t, owner, 2)
	labels := map[string]string{"app": "web", "extraKey": "extraValue"}
	update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Spec.Template.Labels = labels })
	update(t.Context(), t, &pods[0], func(p *corev1.Pod) { p.Labels = labels })
	await(t, "one fully labelled Pod", func(ctx context.Context) error {
		get(ctx, t, owner)
		if owner.Status.Replicas != 2 || owner.Status.FullyLabeledReplicas != 1 {
			return fmt.Errorf("status is %+v", owner.Status)
		}
		return nil
	})
}

func TestReplicaSetsAppsV1DefaultGCPolicy(t *testing.T) {
	owner := startWith(t, 2, func(w *wrappers.TeachingReplicaSetWrapper) {
		w.Obj().Finalizers = []string{"example.com/dummy-finalizer"}
	})
	if err := k8sClient.Delete(t.Context(), owner); err != nil {
		t.Fatalf("Deleting: %v", err)
	}
	get(t.Context(), t, owner)
	if diff := cmp.Diff([]string{"example.com/dummy-finalizer"}, owner.Finalizers); owner.DeletionTimestamp == nil || diff != "" {
		t.Errorf("Deleted at %v; finalizers differ (-want +got):\n%s", owner.DeletionTimestamp, diff)
	}
	update(t.Context(), t, owner, func(o *podtrailv1alpha1.TeachingReplicaSet) { o.Finalizers = nil })
	await(t, "the object is gone", func(ctx context.Context) error {
		err := k8sClient.Get(ctx, client.ObjectKeyFromObject(owner), owner)
		if err == nil {
			err = errors.New("it is still there")
		}
		return client.IgnoreNotFound(err)
	})
}

func TestTerminatingReplicas(t *testing.T) {
	owner := startWith(t, 5, func(w *wrappers.TeachingReplicaSetWrapper) {
		w.Template(func(s *corev1.PodSpec) {
			// An assigned Pod goes when its kubelet says so, which is never here, or with a grace period of 0.
			s.NodeName, s.TerminationGracePeriodSeconds = "fake-node", ptr.To[int64](300)
		})
	})
	pods := awaitPods(t, owner, 5)
	for i := range pods {
		setReady(t.Context(), t, &pods[i], time.Now())
	}
	awaitTerminating := func(want int32) {
		t.Helper()
		await(t, fmt.Sprintf("%d terminating Pods beside 5", want), func(ctx context.Context) error {
			get(ctx, t, owner)
			if owner.Status.Replicas != 5 || ptr.Deref(owner.Status.TerminatingReplicas, -1) != want {
				return fmt.Errorf("status is %+v", owner.Status)
			}
			return nil
		})
	}
	awaitTerminating(0)
	deletePod(t, &pods[0])
	awaitTerminating(1)
	deletePod(t, &pods[1])
	awaitTerminating(2)
	deletePod(t, &pods[0], client.GracePeriodSeconds(0))
	awaitTerminating(1)
}

// startWith runs the controller in a namespace of its own and waits until an object called web has its Pods.
func startWith(t *testing.T, replicas int32, changes ...func(*wrappers.TeachingReplicaSetWrapper)) *podtrailv1alpha1.TeachingReplicaSet {
	t.Helper()
	namespace := newNamespace(t)
	startController(t, namespace)
	w := wrappers.MakeTeachingReplicaSet(namespace, "web").Replicas(replicas)
	for _, change := range changes {
		change(w)
	}
	create(t.Context(), t, w.Obj())
	awaitPods(t, w.Obj(), int(replicas))
	return w.Obj()
}

func deletePod(t *testing.T, pod *corev1.Pod, opts ...client.DeleteOption) {
	t.Helper()
	if err := k8sClient.Delete(t.Context(), pod, opts...); err != nil && !apierrors.IsNotFound(err) {
		t.Fatalf("Deleting Pod %s: %v", pod.Name, err)
	}
}

func hasUID(pods []corev1.Pod, uid types.UID) bool {
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.UID == uid })
}
