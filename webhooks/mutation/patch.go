// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// pointerEscaper escapes a key for a JSON pointer (RFC 6901).
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// addInitContainer appends to the init containers, so the Pod's own keep their order and positions. It writes the whole
// list only if that is absent or empty.
func addInitContainer(pod *corev1.Pod, c *corev1.Container) jsonpatch.Operation {
	if len(pod.Spec.InitContainers) == 0 {
		return jsonpatch.NewOperation("add", "/spec/initContainers", []*corev1.Container{c})
	}
	return jsonpatch.NewOperation("add", "/spec/initContainers/-", c)
}

// setSchedulerName uses "add", which replaces an existing member.
func setSchedulerName(name string) jsonpatch.Operation {
	return jsonpatch.NewOperation("add", "/spec/schedulerName", name)
}

func annotate(pod *corev1.Pod, injected Injected) jsonpatch.Operation {
	if len(pod.Annotations) == 0 {
		return jsonpatch.NewOperation("add", "/metadata/annotations", map[string]string{podtrailv1alpha1.InjectedAnnotationKey: injected.String()})
	}
	return jsonpatch.NewOperation("add", "/metadata/annotations/"+pointerEscaper.Replace(podtrailv1alpha1.InjectedAnnotationKey), injected.String())
}
