// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

var _ = Describe("The default StorageClass", func() {
	It("makes a volume on its first consumer's node, keeps what Pods write, and removes it with the claim", func(ctx context.Context) {
		class := &storagev1.StorageClass{}
		Expect(k8s.Get(ctx, client.ObjectKey{Name: "standard"}, class)).To(Succeed())
		Expect(class.Annotations).To(HaveKeyWithValue("storageclass.kubernetes.io/is-default-class", "true"))
		Expect(class.VolumeBindingMode).To(HaveValue(Equal(storagev1.VolumeBindingWaitForFirstConsumer)))

		ns := namespace(ctx, nil)
		claim := makeClaim(ns, "kept")
		Expect(k8s.Create(ctx, claim)).To(Succeed())
		Eventually(func() string {
			return kubectl("get", "events", "-n", ns, "--field-selector=involvedObject.name=kept", "-o", "jsonpath={.items[*].reason}").succeeds()
		}, soon, poll).Should(ContainSubstring("WaitForFirstConsumer"))
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(claim), claim)).To(Succeed())
		Expect(claim.Status.Phase).To(Equal(corev1.ClaimPending), "before a Pod uses the claim")

		writer := runWithClaim(ctx, ns, "writer", claim.Name, `echo "written by $HOSTNAME" >/kept/note`)
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(claim), claim)).To(Succeed())
		Expect(claim.Status.Phase).To(Equal(corev1.ClaimBound))
		volume := &corev1.PersistentVolume{}
		Expect(k8s.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume)).To(Succeed())
		terms := volume.Spec.NodeAffinity.Required.NodeSelectorTerms
		Expect(terms).To(HaveLen(1))
		Expect(terms[0].MatchExpressions).To(ContainElement(HaveField("Values", ConsistOf(writer.Spec.NodeName))), "the volume is on the writer's node")

		Expect(k8s.Delete(ctx, writer)).To(Succeed())
		reader := runWithClaim(ctx, ns, "reader", claim.Name, `read -r line </kept/note && echo "$line"`)
		Expect(reader.Spec.NodeName).To(Equal(writer.Spec.NodeName))
		Expect(kubectl("logs", "-n", ns, reader.Name).succeeds()).To(Equal("written by writer\n"))

		Expect(k8s.Delete(ctx, reader)).To(Succeed())
		Expect(k8s.Delete(ctx, claim)).To(Succeed())
		Eventually(ctx, func(ctx context.Context) bool {
			return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(volume), &corev1.PersistentVolume{}))
		}, soon, poll).Should(BeTrue(), "PersistentVolume %s goes with its claim", volume.Name)
		folders := onNode(writer, "find", "/var/local-path-provisioner", "-mindepth", "1", "-maxdepth", "1")
		Expect(folders).NotTo(ContainSubstring(volume.Name), "the volume's folder on %s", writer.Spec.NodeName)
	})
})

// makeClaim asks for a volume of the default class.
func makeClaim(namespace, name string) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{}
	claim.Namespace, claim.Name = namespace, name
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}
	return claim
}

// runWithClaim runs a shell script with the claim's volume at /kept until it has ended well.
func runWithClaim(ctx context.Context, namespace, name, claim, script string) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = namespace, name
	pod.Spec = corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{
			Name: "shell", Image: shellImage(ctx), Command: []string{"/bin/sh", "-c", script},
			Env:          []corev1.EnvVar{{Name: "HOSTNAME", Value: name}},
			VolumeMounts: []corev1.VolumeMount{{Name: "kept", MountPath: "/kept"}},
		}},
		Volumes: []corev1.Volume{{Name: "kept", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}},
	}
	Expect(k8s.Create(ctx, pod)).To(Succeed())
	Eventually(ctx, func(ctx context.Context) (corev1.PodPhase, error) {
		err := k8s.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		return pod.Status.Phase, err
	}, soon, poll).Should(Equal(corev1.PodSucceeded), "Pod %s", name)
	return pod
}

// shellImage is the image of the provisioner's helper Pods: the one on every node that has a shell, under the name that
// this cluster gives it.
func shellImage(ctx context.Context) string {
	GinkgoHelper()
	settings := &corev1.ConfigMap{}
	Expect(k8s.Get(ctx, client.ObjectKey{Namespace: "local-path-storage", Name: "local-path-config"}, settings)).To(Succeed())
	helper := &corev1.Pod{}
	Expect(yaml.Unmarshal([]byte(settings.Data["helperPod.yaml"]), helper)).To(Succeed())
	Expect(helper.Spec.Containers).NotTo(BeEmpty())
	return helper.Spec.Containers[0].Image
}
