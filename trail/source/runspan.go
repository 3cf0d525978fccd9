// SPDX-License-Identifier: Apache-2.0

package source

import (
	"strings"

	"podtrail.dev/podtrail/trail"
)

// runWords are the spans of a kubelet and of containerd that are told, by name, each with its words after the service.
// The kubelet's are in pkg/kubelet/kubelet.go, those of the CRI's methods come from gRPC on both sides of the socket,
// containerd's are in internal/cri/server and client.
var runWords = map[string]string{
	"syncPod":            "synced the Pod",
	"syncTerminatingPod": "ended the Pod's containers",
	"syncTerminatedPod":  "cleaned up after the Pod",

	"runtime.v1.RuntimeService/RunPodSandbox":    "RunPodSandbox",
	"runtime.v1.RuntimeService/StopPodSandbox":   "StopPodSandbox",
	"runtime.v1.RuntimeService/RemovePodSandbox": "RemovePodSandbox",
	"runtime.v1.RuntimeService/CreateContainer":  "CreateContainer",
	"runtime.v1.RuntimeService/StartContainer":   "StartContainer",
	"runtime.v1.RuntimeService/StopContainer":    "StopContainer",
	"runtime.v1.RuntimeService/RemoveContainer":  "RemoveContainer",
	"runtime.v1.ImageService/PullImage":          "PullImage",

	"cri.sandbox.run":       "made the sandbox",
	"cni.setup_pod_network": "had CNI set up the network",
	"pull.Pull":             "fetched the image",
	"client.NewContainer":   "prepared the container's snapshot and spec",
	"container.NewTask":     "made the task: the shim and runc create",
	"client.task.Start":     "started the process: runc start",
}

// ToldSpan says whether a trail tells the spans of that name, so that a recorder need not keep any other. The API
// server's first span of a request, whose name differs with the resource, is told too.
func ToldSpan(name string) bool {
	return runWords[name] != "" || stageOf(name) != 0
}

// runSpans reads spans of the trace in which a kubelet brings a Pod to its desired state.
func runSpans(spans Spans, node string) []trail.Observation {
	var out []trail.Observation
	for _, span := range spans.Spans {
		words := runWords[span.Name]
		if words == "" {
			continue
		}
		o := spans.observe(node, span, *spans.Pod, trail.Run)
		o.Keys.Sandbox, o.Keys.Container = span.Attributes["sandbox.id"], span.Attributes["container.id"]
		if kind := span.Attributes["k8s.pod.update_type"]; kind != "" {
			words += " (" + kind + ")"
		}
		if span.Error != "" {
			words += ", failed: " + span.Error
		}
		o.Summary = spans.Service + " " + words + " in " + took(span.Took)
		o.Facts = known(
			trail.Fact{Key: "span", Value: span.Name},
			trail.Fact{Key: trail.FactTook, Value: took(span.Took)},
			trail.Fact{Key: trail.FactSandbox, Value: o.Keys.Sandbox},
			trail.Fact{Key: trail.FactContainerID, Value: o.Keys.Container},
			trail.Fact{Key: trail.FactImage, Value: firstOf(span.Attributes["image.ref"], span.Attributes["container.image.ref"])},
			trail.Fact{Key: "network namespace", Value: span.Attributes["netns.path"]},
			trail.Fact{Key: "pid", Value: firstOf(span.Attributes["task.pid"], span.Attributes["task.process.id"])},
			trail.Fact{Key: "error", Value: strings.TrimSpace(span.Error)},
		)
		out = append(out, o)
	}
	return out
}
