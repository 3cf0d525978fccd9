// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// image is the sample app as the nodes know it.
const image = "localhost:5001/podtrail/sampleapp:dev"

func makeNamespace(labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: labels}}
}

// pods lists the Pods of a namespace that carry the label app=APP and are not being deleted.
func pods(ctx context.Context, namespace, app string) []corev1.Pod {
	GinkgoHelper()
	var list corev1.PodList
	Expect(k8s.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"app": app})).To(Succeed())
	active := list.Items[:0]
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			active = append(active, pod)
		}
	}
	return active
}

func podNames(ctx context.Context, namespace, app string) []string {
	GinkgoHelper()
	var names []string
	for _, pod := range pods(ctx, namespace, app) {
		names = append(names, pod.Name)
	}
	return names
}

func isReady(pod corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// createUntilReady makes a Pod and waits until it is Ready; the Pod is then as the API server has it.
func createUntilReady(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	Expect(k8s.Create(ctx, pod)).To(Succeed())
	Eventually(ctx, func(ctx context.Context) (corev1.Pod, error) {
		err := k8s.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		return *pod, err
	}, soon, poll).Should(Satisfy(isReady), "Pod %s is Ready", pod.Name)
}

// limitedPod passes the checks of an opted-in namespace that enforces Pod Security "restricted".
func limitedPod(namespace string) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Namespace, pod.GenerateName = namespace, "limited-"
	pod.Spec = corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "app", Image: image,
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
	return pod
}

// appSpec runs the sample app, which greets with its Pod's name and is ready once it listens.
func appSpec(args ...string) corev1.PodSpec {
	field := func(variable, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: variable, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(1)),
		Containers: []corev1.Container{{
			Name: "app", Image: image, Args: args,
			Env: []corev1.EnvVar{field("POD_NAME", "metadata.name"), field("NODE_NAME", "spec.nodeName")},
			ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
				TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)},
			}},
		}},
	}
}

// podManifest is a Pod of the sample app with these lines as its container's resources.
func podManifest(name, resources string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: %s
  labels: {app: %s}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: %s
    ports: [{containerPort: 8080}]
    resources: %s
`, name, name, image, resources)
}
