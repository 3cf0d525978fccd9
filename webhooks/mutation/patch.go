// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// pointerEscaper escapes a key for a JSON pointer (RFC 6901).
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// addInitContainer appends to the init containers, so those of the Pod keep
// their order and their positions. Only an absent or empty list is written as a whole.
func addInitContainer(pod *corev1.Pod, c *corev1.Container) jsonpatch.Operation {
	if len(pod.Spec.InitContainers) == 0 {
		return jsonpatch.NewOperation("add", "/spec/initContainers", []*corev1.Container{c})
	}
	return jsonpatch.NewOperation("add", "/spec/initContainers/-", c)
}

// setSchedulerName relies on "add" replacing a member that exists.
func setSchedulerName(name string) jsonpatch.Operation {
	return jsonpatch.NewOperation("add", "/spec/schedulerName", name)
}

func annotate(pod *corev1.Pod, rec Record) jsonpatch.Operation {
	if len(pod.Annotations) == 0 {
		return jsonpatch.NewOperation("add", "/metadata/annotations", map[string]string{InjectedAnnotationKey: rec.String()})
	}
	return jsonpatch.NewOperation("add", "/metadata/annotations/"+pointerEscaper.Replace(InjectedAnnotationKey), rec.String())
}
