// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers"
)

const (
	// eventually is how long a test waits for something that should come within a second.
	eventually = 30 * time.Second
	// consistently is for how long a test watches that something does not happen.
	consistently = 2 * time.Second
	poll         = 50 * time.Millisecond
)

// dryRun lets the API server do everything but store the object.
const dryRun = dryRunOption("dry run")

type dryRunOption string

func (dryRunOption) ApplyToCreate(o *client.CreateOptions) { o.DryRun = []string{metav1.DryRunAll} }
func (dryRunOption) ApplyToUpdate(o *client.UpdateOptions) { o.DryRun = []string{metav1.DryRunAll} }

// newNamespace makes a namespace for one test. It is not deleted: without a namespace controller it never would be.
func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	create(t.Context(), t, namespace)
	return namespace.Name
}

// startController runs the controller for one namespace until the test ends or the returned function is called,
// which returns when it has stopped.
func startController(t *testing.T, namespace string) (stop func()) {
	t.Helper()
	return runController(t, restConfig, namespace, controllers.Options{})
}

// runController is startController with a configuration of the controller's own.
func runController(t *testing.T, cfg *rest.Config, namespace string, o controllers.Options) (stop func()) {
	t.Helper()
	byObject := controllers.CacheByObject()
	byObject[&podtrailv1alpha1.TeachingReplicaSet{}] = cache.ByObject{}
	inNamespace := fields.OneTermEqualSelector("metadata.namespace", namespace)
	for obj, options := range byObject {
		options.Field = inNamespace
		byObject[obj] = options
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:     scheme,
		Cache:      cache.Options{ByObject: byObject},
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		t.Fatalf("Making the manager: %v", err)
	}
	if err := controllers.SetupWithManager(mgr, o); err != nil {
		t.Fatalf("Setting up the controller: %v", err)
	}
	return runManager(t, mgr)
}

// runManager starts a manager; it ends with the test, or before when stop is called, and must end without an error.
func runManager(t *testing.T, mgr ctrl.Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("The manager ended with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// await waits until check returns nil and fails the test with its last answer otherwise.
func await(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	gomega.NewWithT(t).Eventually(func() error { return check(t.Context()) }).
		WithTimeout(eventually).WithPolling(poll).Should(gomega.Succeed(), what)
}

// hold watches that check goes on to return nil.
func hold(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	gomega.NewWithT(t).Consistently(func() error { return check(t.Context()) }).
		WithTimeout(consistently).WithPolling(poll).Should(gomega.Succeed(), what)
}

// get reads obj anew.
func get(ctx context.Context, t *testing.T, obj client.Object) {
	t.Helper()
	if err := k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
		t.Fatalf("Reading %T %s: %v", obj, obj.GetName(), err)
	}
}

// update changes obj by a merge patch.
func update[T client.Object](ctx context.Context, t *testing.T, obj T, change func(T)) {
	t.Helper()
	before, ok := obj.DeepCopyObject().(T)
	if !ok {
		t.Fatalf("A copy of %T has another type", obj)
	}
	change(obj)
	if err := k8sClient.Patch(ctx, obj, client.MergeFrom(before)); err != nil {
		t.Fatalf("Changing %T %s: %v", obj, obj.GetName(), err)
	}
}

// listPods returns the namespace's Pods.
func listPods(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := k8sClient.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing the Pods of %s: %w", namespace, err)
	}
	return list.Items, nil
}

// ownedPods returns the Pods that owner controls, the terminating ones included.
func ownedPods(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet) ([]corev1.Pod, error) {
	pods, err := listPods(ctx, owner.Namespace)
	if err != nil {
		return nil, err
	}
	var owned []corev1.Pod
	for i := range pods {
		if metav1.IsControlledBy(&pods[i], owner) {
			owned = append(owned, pods[i])
		}
	}
	return owned, nil
}

// awaitPods waits until owner has want Pods and its status says so for the generation it has now.
func awaitPods(t *testing.T, owner *podtrailv1alpha1.TeachingReplicaSet, want int) []corev1.Pod {
	t.Helper()
	var owned []corev1.Pod
	await(t, fmt.Sprintf("%s has %d Pods", owner.Name, want), func(ctx context.Context) (err error) {
		if owned, err = ownedPods(ctx, owner); err != nil {
			return err
		}
		if len(owned) != want {
			return fmt.Errorf("it has %d Pods", len(owned))
		}
		if err := k8sClient.Get(ctx, client.ObjectKeyFromObject(owner), owner); err != nil {
			return err
		}
		if int(owner.Status.Replicas) != want || owner.Status.ObservedGeneration != owner.Generation {
			return fmt.Errorf("status says %d Pods at generation %d of %d",
				owner.Status.Replicas, owner.Status.ObservedGeneration, owner.Generation)
		}
		return nil
	})
	return owned
}

// setReady writes the status that a kubelet would write for a Pod that is ready since a time.
func setReady(ctx context.Context, t *testing.T, pod *corev1.Pod, since time.Time) {
	t.Helper()
	setPodStatus(ctx, t, pod, corev1.PodStatus{
		Phase: corev1.PodRunning,
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)},
		},
	})
}

func setPodStatus(ctx context.Context, t *testing.T, pod *corev1.Pod, status corev1.PodStatus) {
	t.Helper()
	pod.Status = status
	if err := k8sClient.Status().Update(ctx, pod); err != nil {
		t.Fatalf("Writing the status of Pod %s: %v", pod.Name, err)
	}
}
