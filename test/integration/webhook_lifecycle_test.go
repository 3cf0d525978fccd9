// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/wrappers"
)

func testTeachingReplicaSetAdmission(t *testing.T) {
	ctx := t.Context()
	namespace := demoNamespace(t)
	c, said := clientWithWarnings(t)
	trs := wrappers.MakeTeachingReplicaSet(namespace, "web").Obj()
	if err := c.Create(ctx, trs); err != nil {
		t.Fatal(err)
	}
	if got := trs.Spec.Template.Spec.RestartPolicy; got != corev1.RestartPolicyAlways {
		t.Errorf("restartPolicy is %q, want the default Always", got)
	}
	const noLimit = `spec.template: Pods will be refused by rule cpu-limits: container "app" has no CPU limit`
	if diff := cmp.Diff(warnings{noLimit}, *said); diff != "" {
		t.Errorf("warnings on create (-want +got):\n%s", diff)
	}
	*said = nil
	before := trs.DeepCopy()
	trs.Spec.Template.Spec.Containers[0].Resources = cpuLimit("100m")
	if err := c.Patch(ctx, trs, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	const stays = "spec.template: existing Pods keep the old template; delete them to have them made from the new one"
	if diff := cmp.Diff(warnings{stays}, *said); diff != "" {
		t.Errorf("warnings on the change (-want +got):\n%s", diff)
	}
	await(t, "the overlap with the first one is told", func(ctx context.Context) error {
		*said = nil
		twin := wrappers.MakeTeachingReplicaSet(namespace, "twin").Selector(trs.Spec.Selector).TemplateLabels(trs.Spec.Template.Labels)
		if err := c.Create(ctx, twin.Obj(), dryRun); err != nil {
			return err
		}
		if want := "spec.selector: overlaps with trs/web: either can adopt an orphaned Pod of the other"; !slices.Contains(*said, want) {
			return fmt.Errorf("warnings are %q, want %q among them", *said, want)
		}
		return nil
	})
	broken := wrappers.MakeTeachingReplicaSet(namespace, "broken").Obj()
	broken.Spec.Template.Spec.Containers[0].Image = " "
	err := c.Create(ctx, broken)
	expectRefused(t, err, `spec.template.spec.containers[0].image: Invalid value: " "`)
	// A write without a spec is a matter of the schema: the hooks' matchConditions must not stumble over it.
	err = c.Patch(ctx, trs, client.RawPatch(types.JSONPatchType, []byte(`[{"op": "remove", "path": "/spec"}]`)))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec: Required value") {
		t.Errorf("an update without spec: %v, want the schema's refusal", err)
	}
	broken.Namespace = newNamespace(t)
	if err := c.Create(ctx, broken); err != nil {
		t.Errorf("outside opted-in namespaces it is not checked, yet: %v", err)
	}
}

// testSystemNamespaces: the configurations leave these out even if somebody labels them.
func testSystemNamespaces(t *testing.T) {
	for _, name := range []string{metav1.NamespaceSystem, systemNamespace} {
		optIn(t, name)
		hold(t, name+" is left alone", func(ctx context.Context) error {
			pod := wrappers.MakePod(name, "unlimited").Obj()
			if err := k8sClient.Create(ctx, pod, dryRun); err != nil {
				return err
			}
			if pod.Spec.SchedulerName != corev1.DefaultSchedulerName {
				return fmt.Errorf("schedulerName became %q", pod.Spec.SchedulerName)
			}
			return nil
		})
	}
}

// testWithoutManager: opted-in namespaces fail closed, all others live on.
func testWithoutManager(t *testing.T) {
	ctx := t.Context()
	err := k8sClient.Create(ctx, limitedPod(demoNamespace(t), "in"))
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "default.pods.podtrail.dev"`) {
		t.Errorf("in an opted-in namespace: %v, want a refusal that names the webhook", err)
	}
	// A Pod that opted out of the mutation does not wait for it, but is still to be validated.
	optedOut := limitedPod(demoNamespace(t), "opted-out")
	optedOut.Labels = map[string]string{podtrailv1alpha1.AdmissionLabelKey: podtrailv1alpha1.AdmissionDisabled}
	if err := k8sClient.Create(ctx, optedOut); err == nil || !strings.Contains(err.Error(), `failed calling webhook "validate.pods.podtrail.dev"`) {
		t.Errorf("opted out of the mutation: %v, want a refusal that names the validating webhook only", err)
	}
	create(ctx, t, wrappers.MakePod(newNamespace(t), "out").Obj())
	for _, name := range []string{metav1.NamespaceSystem, systemNamespace} {
		if err := k8sClient.Create(ctx, wrappers.MakePod(name, "own").Obj(), dryRun); err != nil {
			t.Errorf("a Pod of %s: %v", name, err)
		}
	}
}

// tended are objects that other controllers and the garbage collector go on to write while the manager is away.
type tended struct {
	pod *corev1.Pod
	trs *podtrailv1alpha1.TeachingReplicaSet
}

// objectsToOutlive makes them in an opted-in namespace; it needs the manager.
func objectsToOutlive(t *testing.T) tended {
	t.Helper()
	namespace := demoNamespace(t)
	o := tended{pod: limitedPod(namespace, "existing"), trs: wrappers.MakeTeachingReplicaSet(namespace, "existing").Obj()}
	o.pod.Finalizers, o.trs.Finalizers = []string{"podtrail.dev/test"}, []string{"podtrail.dev/test"}
	create(t.Context(), t, o.pod, o.trs)
	return o
}

// testTendedWithoutManager: a namespace that opted in can be cleaned up, and Jobs in it end, whatever becomes of the
// manager. Only what the rules are about waits for it.
func testTendedWithoutManager(t *testing.T, o tended) {
	ctx := t.Context()
	update(ctx, t, o.pod, func(p *corev1.Pod) { metav1.SetMetaDataLabel(&p.ObjectMeta, "a", "b") })
	update(ctx, t, o.pod, func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(o.trs, podtrailv1alpha1.GroupVersion.WithKind("TeachingReplicaSet"))}
	})
	update(ctx, t, o.trs, func(s *podtrailv1alpha1.TeachingReplicaSet) { metav1.SetMetaDataLabel(&s.ObjectMeta, "a", "b") })
	o.trs.Status.Replicas = 1
	if err := k8sClient.Status().Update(ctx, o.trs); err != nil {
		t.Errorf("Writing the status: %v", err)
	}

	changed := o.trs.DeepCopy()
	changed.Spec.Template.Spec.Containers[0].Image = "registry.example/other:1"
	err := k8sClient.Update(ctx, changed)
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "default.teachingreplicasets.podtrail.dev"`) {
		t.Errorf("another template: %v, want a refusal that names the webhook", err)
	}
	expectGone(t, o.pod, func(p *corev1.Pod) { p.Finalizers = nil })
	expectGone(t, o.trs, func(s *podtrailv1alpha1.TeachingReplicaSet) { s.Finalizers = nil })
}

// expectGone deletes obj, whose finalizer holds it, and lets it go as a controller would.
func expectGone[T client.Object](t *testing.T, obj T, release func(T)) {
	t.Helper()
	if err := k8sClient.Delete(t.Context(), obj, client.GracePeriodSeconds(0)); err != nil {
		t.Fatalf("Deleting %T %s: %v", obj, obj.GetName(), err)
	}
	get(t.Context(), t, obj)
	update(t.Context(), t, obj, release)
	if err := k8sClient.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); !apierrors.IsNotFound(err) {
		t.Errorf("%T %s is still there: %v", obj, obj.GetName(), err)
	}
}
