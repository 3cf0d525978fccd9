// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsyaml "sigs.k8s.io/yaml"
)

// TestDeploymentIsRestricted lets the API server judge the deployed Pod: the namespace it runs in enforces less,
// because the recorder needs more.
func TestDeploymentIsRestricted(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(manifests, "deployment.yaml"))
	if err != nil {
		t.Fatalf("Reading the Deployment: %v", err)
	}
	deployment := &appsv1.Deployment{}
	if err := sigsyaml.UnmarshalStrict(content, deployment); err != nil {
		t.Fatalf("Decoding the Deployment: %v", err)
	}
	const restricted = "restricted"
	c := newClient(t)
	create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   restricted,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}})

	t.Run("its Pod is admitted", func(t *testing.T) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: restricted, Name: "admitted"},
			Spec:       deployment.Spec.Template.Spec,
		}
		if err := c.Create(t.Context(), pod, client.DryRunAll); err != nil {
			t.Errorf("Creating the Deployment's Pod: %v", err)
		}
	})
	t.Run("the same Pod as root is not", func(t *testing.T) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: restricted, Name: "refused"},
			Spec:       *deployment.Spec.Template.Spec.DeepCopy(),
		}
		pod.Spec.SecurityContext.RunAsNonRoot = nil
		if err := c.Create(t.Context(), pod, client.DryRunAll); err == nil {
			t.Errorf("The namespace does not enforce what this test relies on")
		}
	})
	t.Run("the Deployment itself is valid", func(t *testing.T) {
		create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNS}})
		create(t, c, deployment)
	})
}

// TestMayReadHowCallersAreAuthenticated covers the one right that the other tests do not use: they open no secure port.
func TestMayReadHowCallersAreAuthenticated(t *testing.T) {
	applyRBAC(t)
	asScheduler := rest.CopyConfig(admin)
	asScheduler.Impersonate = rest.ImpersonationConfig{UserName: schedulerUser}
	c, err := client.New(asScheduler, client.Options{})
	if err != nil {
		t.Fatalf("Building a client: %v", err)
	}
	key := client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: "extension-apiserver-authentication"}
	if err := c.Get(t.Context(), key, &corev1.ConfigMap{}); err != nil {
		t.Errorf("Reading ConfigMap %s: %v", key, err)
	}
}
