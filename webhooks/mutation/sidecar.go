// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// SidecarName is the name of the injected container and of its port.
	SidecarName = "podtrail-proxy"
	// SidecarPort is where the proxy listens. A Service reaches it by the port's name. It is outside the range 15000 to
	// 15090 that Istio's sidecar uses.
	SidecarPort int32 = 15180
	// HealthPath answers once the proxy listens, whatever the state of the app, which has probes of its own.
	HealthPath = "/podtrail/healthz"

	sidecarUser   int64 = 65532
	sidecarCPU          = "50m"
	sidecarMemory       = "48Mi"
)

// sidecarPlan is the decision about the sidecar. container is nil if none is added.
type sidecarPlan struct {
	container *corev1.Container
	target    int32
	reason    string
	warning   string
}

func planSidecar(pod *corev1.Pod, injected Injected, cfg Config) sidecarPlan {
	if hasContainer(pod, SidecarName) {
		if injected.Sidecar == SidecarName {
			return sidecarPlan{reason: "the sidecar is there already"}
		}
		return declined("the Pod has a container named %q of its own", SidecarName)
	}
	target, found := appPort(pod)
	if !found {
		return declined("no container declares a TCP port to put it in front of")
	}
	if usesPort(pod, SidecarPort) {
		return declined("a container of the Pod declares port %d, which the sidecar needs", SidecarPort)
	}
	return sidecarPlan{
		container: sidecar(pod, target, cfg.SidecarImage),
		target:    target,
		reason:    fmt.Sprintf("sidecar %q added in front of port %d", SidecarName, target),
	}
}

func declined(format string, args ...any) sidecarPlan {
	why := fmt.Sprintf(format, args...)
	return sidecarPlan{reason: "no sidecar: " + why, warning: "podtrail added no sidecar: " + why}
}

func hasContainer(pod *corev1.Pod, name string) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return true
			}
		}
	}
	return false
}

// appPort returns the first TCP port that an app container declares.
func appPort(pod *corev1.Pod) (int32, bool) {
	for i := range pod.Spec.Containers {
		for _, p := range pod.Spec.Containers[i].Ports {
			if p.Protocol == corev1.ProtocolTCP || p.Protocol == "" {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}

func usesPort(pod *corev1.Pod, port int32) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, p := range list[i].Ports {
				if p.ContainerPort == port {
					return true
				}
			}
		}
	}
	return false
}

// sidecar returns a native sidecar: an init container with restartPolicy Always, which starts before the app, ends
// after it and does not keep a Job from finishing. It satisfies Pod Security "restricted" whatever the Pod's security
// context is.
func sidecar(pod *corev1.Pod, target int32, image string) *corev1.Container {
	return &corev1.Container{
		Name:                     SidecarName,
		Image:                    image,
		ImagePullPolicy:          corev1.PullIfNotPresent,
		Args:                     []string{"proxy", fmt.Sprintf("--listen=:%d", SidecarPort), fmt.Sprintf("--target=127.0.0.1:%d", target)},
		Ports:                    []corev1.ContainerPort{{Name: SidecarName, ContainerPort: SidecarPort, Protocol: corev1.ProtocolTCP}},
		RestartPolicy:            new(corev1.ContainerRestartPolicyAlways),
		Resources:                sidecarResources(pod.Spec.Resources),
		StartupProbe:             probe(1, 30),
		LivenessProbe:            probe(10, 3),
		ReadinessProbe:           probe(5, 2),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot:             new(true),
			RunAsUser:                new(sidecarUser),
			RunAsGroup:               new(sidecarUser),
			Privileged:               new(false),
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

func probe(periodSeconds, failureThreshold int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: HealthPath, Port: intstr.FromInt32(SidecarPort), Scheme: corev1.URISchemeHTTP},
		},
		PeriodSeconds:    periodSeconds,
		TimeoutSeconds:   1,
		SuccessThreshold: 1,
		FailureThreshold: failureThreshold,
	}
}

// sidecarResources returns requests equal to limits, so that a Pod of QoS class Guaranteed keeps it. In a Pod with
// Pod-level resources the sidecar uses those: a request of its own could exceed the Pod's, and the API server would
// refuse the Pod (validatePodResourceConsistency in k8s.io/kubernetes/pkg/apis/core/validation/validation.go).
func sidecarResources(podLevel *corev1.ResourceRequirements) corev1.ResourceRequirements {
	own := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for name, amount := range map[corev1.ResourceName]string{corev1.ResourceCPU: sidecarCPU, corev1.ResourceMemory: sidecarMemory} {
		requested, limited := podLevelHas(podLevel, name)
		switch {
		case limited:
		case requested:
			// Without this zero, the API server would copy the limit into the request.
			own.Requests[name] = resource.MustParse("0")
			own.Limits[name] = resource.MustParse(amount)
		default:
			own.Requests[name] = resource.MustParse(amount)
			own.Limits[name] = resource.MustParse(amount)
		}
	}
	return own
}

func podLevelHas(r *corev1.ResourceRequirements, name corev1.ResourceName) (requested, limited bool) {
	if r == nil {
		return false, false
	}
	_, requested = r.Requests[name]
	_, limited = r.Limits[name]
	return requested, limited
}
