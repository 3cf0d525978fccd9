// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/wrappers"
)

// TestWebhooks runs the webhooks once for all its parts. The last ones take them away.
func TestWebhooks(t *testing.T) {
	stop := startWebhooks(t)
	t.Run("the sample's Pods are mutated and stay restricted", testSampleIsMutated)
	t.Run("the manager's own Pods are restricted", testManagerIsRestricted)
	t.Run("Pods with resources of their own", testPodLevelResources)
	t.Run("a Pod without a CPU limit", testNoLimit)
	t.Run("what a Pod can opt out of", testOptOut)
	t.Run("dry-run stores nothing", testDryRun)
	t.Run("a namespace that opts in later", testLateOptIn)
	t.Run("ephemeral containers and resize", testSubresources)
	t.Run("TeachingReplicaSets", testTeachingReplicaSetAdmission)
	t.Run("system namespaces", testSystemNamespaces)
	t.Run("three rotations while Pods are created", testRotationUnderLoad)
	existing := objectsToOutlive(t)
	stop()
	t.Run("without the manager", testWithoutManager)
	t.Run("what exists can be tended without the manager", func(t *testing.T) { testTendedWithoutManager(t, existing) })
}

func cpuLimit(amount string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(amount)}}
}

func limitedPod(namespace, name string) *corev1.Pod {
	pod := restricted(wrappers.MakePod(namespace, name).Obj())
	pod.Spec.Containers[0].Resources = cpuLimit("100m")
	return pod
}

// restricted makes a Pod satisfy Pod Security "restricted".
func restricted(pod *corev1.Pod) *corev1.Pod {
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot:   new(true),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	return pod
}

// podOf makes a Pod as a controller makes it: from the manifest's template, with generateName.
func podOf(t *testing.T, namespace, file string) *corev1.Pod {
	t.Helper()
	var owner struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	manifest := readManifests(t, file)[0]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(manifest.Object, &owner); err != nil {
		t.Fatalf("Reading %s: %v", file, err)
	}
	pod := &corev1.Pod{ObjectMeta: owner.Spec.Template.ObjectMeta, Spec: owner.Spec.Template.Spec}
	pod.Namespace, pod.GenerateName = namespace, manifest.GetName()+"-"
	return pod
}

func testSampleIsMutated(t *testing.T) {
	namespace := demoNamespace(t)
	for _, file := range []string{"samples/nginx-deployment.yaml", "samples/teachingreplicaset.yaml"} {
		t.Run(file, func(t *testing.T) {
			pod := podOf(t, namespace, file)
			containers := len(pod.Spec.Containers)
			create(t.Context(), t, pod)
			if pod.Spec.SchedulerName != "podtrail-scheduler" {
				t.Errorf("schedulerName is %q", pod.Spec.SchedulerName)
			}
			want := `{"version":"test","sidecar":"podtrail-proxy","port":15180,"target":8080,"schedulerName":"podtrail-scheduler"}`
			if got := pod.Annotations[podtrailv1alpha1.InjectedAnnotationKey]; got != want {
				t.Errorf("annotation is %s, want %s", got, want)
			}
			if len(pod.Spec.InitContainers) != 1 || len(pod.Spec.Containers) != containers {
				t.Fatalf("%d init containers and %d containers", len(pod.Spec.InitContainers), len(pod.Spec.Containers))
			}
			sidecar := pod.Spec.InitContainers[0]
			if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways {
				t.Errorf("the sidecar's restartPolicy is %v: it is no native sidecar", sidecar.RestartPolicy)
			}
			for name, probe := range map[string]*corev1.Probe{"startup": sidecar.StartupProbe, "liveness": sidecar.LivenessProbe, "readiness": sidecar.ReadinessProbe} {
				if probe == nil {
					t.Errorf("the sidecar has no %s probe", name)
				}
			}
		})
	}
}

func testManagerIsRestricted(t *testing.T) {
	if err := k8sClient.Create(t.Context(), podOf(t, demoNamespace(t), "manager/deployment.yaml"), dryRun); err != nil {
		t.Error(err)
	}
}

// testPodLevelResources: the sidecar must not ask for more than the Pod may
// have, or the API server refuses the Pod because of the webhook.
func testPodLevelResources(t *testing.T) {
	namespace := demoNamespace(t)
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	cases := map[string]struct{ ofPod, ofContainer corev1.ResourceRequirements }{
		"limits":   {corev1.ResourceRequirements{Limits: list("100m", "64Mi")}, corev1.ResourceRequirements{Requests: list("100m", "64Mi")}},
		"requests": {corev1.ResourceRequirements{Requests: list("100m", "64Mi")}, corev1.ResourceRequirements{Requests: list("100m", "64Mi"), Limits: list("100m", "64Mi")}},
		// The API server derives a Pod-level memory request from the containers', before admission.
		"CPU limit only": {cpuLimit("100m"), corev1.ResourceRequirements{Requests: list("10m", "64Mi")}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pod := restricted(wrappers.MakePod(namespace, "own-resources").Obj())
			pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080}}
			pod.Spec.Resources, pod.Spec.Containers[0].Resources = &tc.ofPod, tc.ofContainer
			if err := k8sClient.Create(t.Context(), pod, dryRun); err != nil {
				t.Fatal(err)
			}
			if len(pod.Spec.InitContainers) != 1 {
				t.Errorf("%d init containers, want the sidecar", len(pod.Spec.InitContainers))
			}
		})
	}
}

func testNoLimit(t *testing.T) {
	pod := &corev1.Pod{}
	sample := readManifests(t, "samples/pod-without-limit.yaml")[0]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(sample.Object, pod); err != nil {
		t.Fatal(err)
	}
	refused := pod.DeepCopy()
	refused.Namespace = demoNamespace(t)
	expectRefused(t, k8sClient.Create(t.Context(), refused),
		`admission webhook "validate.pods.podtrail.dev" denied the request: rule cpu-limits: container "app" has no CPU limit. `+
			"Add under its resources:\n    limits: {cpu: 100m}")
	elsewhere := pod.DeepCopy()
	elsewhere.Namespace = newNamespace(t)
	create(t.Context(), t, elsewhere)
	if elsewhere.Spec.SchedulerName != corev1.DefaultSchedulerName || len(elsewhere.Spec.InitContainers) > 0 {
		t.Errorf("outside opted-in namespaces the Pod was changed: scheduler %q, %d init containers",
			elsewhere.Spec.SchedulerName, len(elsewhere.Spec.InitContainers))
	}
}

func expectRefused(t *testing.T, err error, want string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("answer is %v\nwant a refusal with %q", err, want)
	}
}

func testOptOut(t *testing.T) {
	namespace := demoNamespace(t)
	out := limitedPod(namespace, "out")
	out.Labels = map[string]string{podtrailv1alpha1.AdmissionLabelKey: podtrailv1alpha1.AdmissionDisabled}
	create(t.Context(), t, out)
	if out.Spec.SchedulerName != corev1.DefaultSchedulerName || out.Annotations[podtrailv1alpha1.InjectedAnnotationKey] != "" {
		t.Errorf("opted out, yet changed: scheduler %q, annotations %v", out.Spec.SchedulerName, out.Annotations)
	}
	unlimited := limitedPod(namespace, "unlimited")
	unlimited.Labels = out.Labels
	unlimited.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
	expectRefused(t, k8sClient.Create(t.Context(), unlimited), "rule cpu-limits")
	mirror := limitedPod(namespace, "mirror")
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "forged"}
	mirror.Spec.NodeName = "node"
	mirror.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
	expectRefused(t, k8sClient.Create(t.Context(), mirror), "rule cpu-limits")
}

func testDryRun(t *testing.T) {
	pod := limitedPod(demoNamespace(t), "dry")
	if err := k8sClient.Create(t.Context(), pod, dryRun); err != nil {
		t.Fatal(err)
	}
	if pod.Spec.SchedulerName != "podtrail-scheduler" {
		t.Errorf("schedulerName is %q: the webhook was not called", pod.Spec.SchedulerName)
	}
	if err := k8sClient.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); !apierrors.IsNotFound(err) {
		t.Errorf("a dry run stored the Pod: %v", err)
	}
}

func optIn(t *testing.T, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	get(t.Context(), t, namespace)
	update(t.Context(), t, namespace, func(n *corev1.Namespace) {
		metav1.SetMetaDataLabel(&n.ObjectMeta, podtrailv1alpha1.AdmissionLabelKey, podtrailv1alpha1.AdmissionEnabled)
	})
}

// optInAndWait returns when the API server sends the namespace's Pods to the webhooks.
func optInAndWait(t *testing.T, namespace string) {
	t.Helper()
	optIn(t, namespace)
	await(t, "the rule holds in the namespace", func(ctx context.Context) error {
		if err := k8sClient.Create(ctx, wrappers.MakePod(namespace, "new").Obj(), dryRun); !apierrors.IsForbidden(err) {
			return fmt.Errorf("a new Pod without a limit got %w", err)
		}
		return nil
	})
}

// testLateOptIn: Pods from before the rule can still be labelled, finalized,
// given a status and deleted, but a new one is refused.
func testLateOptIn(t *testing.T) {
	ctx := t.Context()
	pod := wrappers.MakePod(newNamespace(t), "old").Finalizer("podtrail.dev/test").Obj()
	create(ctx, t, pod)
	optInAndWait(t, pod.Namespace)
	update(ctx, t, pod, func(p *corev1.Pod) { metav1.SetMetaDataLabel(&p.ObjectMeta, "a", "b") })
	setPodStatus(ctx, t, pod, corev1.PodStatus{Phase: corev1.PodRunning})
	if err := k8sClient.Delete(ctx, pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	get(ctx, t, pod)
	update(ctx, t, pod, func(p *corev1.Pod) { p.Finalizers = nil })
	if err := k8sClient.Get(ctx, client.ObjectKeyFromObject(pod), pod); !apierrors.IsNotFound(err) {
		t.Errorf("the Pod is still there: %v", err)
	}
}

func testSubresources(t *testing.T) {
	ctx := t.Context()
	debug := func(pod *corev1.Pod) error {
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debug", Image: "registry.example/debug:1", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		}}}
		return k8sClient.SubResource("ephemeralcontainers").Update(ctx, pod)
	}
	namespace := newNamespace(t)
	unlimited, limited := wrappers.MakePod(namespace, "unlimited").Obj(), limitedPod(namespace, "limited")
	// Burstable before and after: a resize must not change the QoS class.
	limited.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("10Mi"),
	}
	create(ctx, t, unlimited, limited)
	optInAndWait(t, namespace)
	expectRefused(t, debug(unlimited), `nothing bounds the CPU of ephemeral container "debug"`)
	if err := debug(limited); err != nil {
		t.Errorf("all other containers have limits, yet: %v", err)
	}

	resize := func(limit, request string) error {
		get(ctx, t, limited)
		limited.Spec.Containers[0].Resources.Limits[corev1.ResourceCPU] = resource.MustParse(limit)
		limited.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse(request)
		return k8sClient.SubResource("resize").Update(ctx, limited)
	}
	if err := resize("200m", "10m"); err != nil {
		t.Errorf("a resize to another limit: %v", err)
	}
	expectRefused(t, resize("0", "0"), `rule cpu-limits: container "app" has no CPU limit`)

	// Why config/webhook leaves plain updates out: the API server itself lets none of them change resources.
	get(ctx, t, limited)
	limited.Spec.Containers[0].Resources.Limits[corev1.ResourceCPU] = resource.MustParse("0")
	if err := k8sClient.Update(ctx, limited); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "pod updates may not change fields other than") {
		t.Errorf("a plain update of resources: %v, want the API server's own refusal", err)
	}
}
