// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"podtrail.dev/podtrail/trail"
)

// ParsePod turns a Pod, as the API serves it now, into observations of Submit, Persist, Schedule and Run.
func ParsePod(pod *corev1.Pod) []trail.Observation {
	state := podState(pod)
	state.Live = true
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && state.Ready {
			state.ReadyAt = condition.LastTransitionTime.Time
		}
	}
	out := parseMeta("Pod", &pod.ObjectMeta, state)
	about := out[0]
	about.State = nil
	if pod.Spec.NodeName != "" {
		bound := about
		bound.Stage, bound.Time = trail.Schedule, time.Time{}
		bound.Summary = pod.Spec.SchedulerName + ": spec.nodeName is " + pod.Spec.NodeName
		bound.Facts = []trail.Fact{
			{Key: trail.FactNode, Value: pod.Spec.NodeName}, {Key: "spec.schedulerName", Value: pod.Spec.SchedulerName},
		}
		out = append(out, bound)
	}
	if facts := statusFacts(pod.Status); pod.Spec.NodeName != "" && pod.Status.HostIP != "" {
		ran := about
		ran.Stage, ran.Time = trail.Run, time.Time{}
		ran.Summary = pod.Spec.NodeName + ": " + statusWords(pod.Status)
		ran.Facts = append([]trail.Fact{{Key: trail.FactNode, Value: pod.Spec.NodeName}}, facts...)
		out = append(out, ran)
	}
	return out
}

// ParseWorkload turns a Deployment, ReplicaSet or TeachingReplicaSet, as the API serves it now, into observations of
// Submit and Persist. Desired is spec.replicas.
func ParseWorkload(kind string, meta *metav1.ObjectMeta, desired int32) []trail.Observation {
	return parseMeta(kind, meta, &trail.State{
		ResourceVersion: meta.ResourceVersion, Desired: &desired, Live: true, Terminating: meta.DeletionTimestamp != nil,
	})
}

// parseMeta tells what the metadata hold: when and as what it was stored, and by which field managers.
func parseMeta(kind string, meta *metav1.ObjectMeta, state *trail.State) []trail.Observation {
	about := trail.Observation{
		Subject: trail.Subject{Kind: kind, Namespace: meta.Namespace, Name: meta.Name, UID: string(meta.UID)},
		Evidence: trail.Evidence{
			Source: trail.SourceObject, ID: kind + "/" + meta.Name + "@" + meta.ResourceVersion,
		},
	}
	if controller := metav1.GetControllerOfNoCopy(meta); controller != nil {
		about.Owner = &trail.Subject{
			Kind: controller.Kind, Namespace: meta.Namespace, Name: controller.Name, UID: string(controller.UID),
		}
	}
	stored := about
	stored.Stage, stored.Time, stored.State = trail.Persist, meta.CreationTimestamp.Time, state
	stored.Summary = fmt.Sprintf("created %s, now resourceVersion %s",
		meta.CreationTimestamp.UTC().Format(time.TimeOnly), meta.ResourceVersion)
	stored.Facts = []trail.Fact{
		{Key: "current resourceVersion", Value: meta.ResourceVersion},
		{Key: "UID", Value: string(meta.UID)},
		{Key: "creationTimestamp", Value: meta.CreationTimestamp.UTC().Format(time.RFC3339)},
	}
	out := []trail.Observation{stored}
	if managers := managersOf(meta.ManagedFields); len(managers) > 0 {
		sent := about
		sent.Stage, sent.Facts = trail.Submit, managers
		sent.Summary = "field manager " + managers[0].Value
		out = append(out, sent)
	}
	return out
}

// managersOf lists who owns fields, the earliest first, as the API server keeps them.
func managersOf(entries []metav1.ManagedFieldsEntry) []trail.Fact {
	var out []trail.Fact
	for _, entry := range entries {
		value := entry.Manager + " (" + string(entry.Operation) + ")"
		if entry.Subresource != "" {
			value += " of " + entry.Subresource
		}
		if entry.Time != nil {
			value += " at " + entry.Time.UTC().Format(time.RFC3339)
		}
		out = append(out, trail.Fact{Key: "field manager", Value: value})
	}
	return out
}

// stageOfEvent places the event reasons that a trail tells, by the component that reports them: the scheduler's,
// kubelet's and controllers' own words, see pkg/kubelet/events and pkg/controller.
var stageOfEvent = map[string]trail.Stage{
	"Scheduled": trail.Schedule, "FailedScheduling": trail.Schedule,
	"Pulling": trail.Run, "Pulled": trail.Run, "Created": trail.Run, "Started": trail.Run, "Failed": trail.Run,
	"BackOff": trail.Run, "Unhealthy": trail.Run, "Killing": trail.Run, "FailedCreatePodSandBox": trail.Run,
	"FailedMount":      trail.Run,
	"SuccessfulCreate": trail.Reconcile, "FailedCreate": trail.Reconcile, "SuccessfulDelete": trail.Reconcile,
	"FailedDelete": trail.Reconcile, "ScalingReplicaSet": trail.Reconcile,
}

// ParseEvent turns a Kubernetes event into an observation; false if its reason belongs to no stage.
func ParseEvent(event *corev1.Event) (trail.Observation, bool) {
	stage, known := stageOfEvent[event.Reason]
	about := event.InvolvedObject
	if !known || about.UID == "" {
		return trail.Observation{}, false
	}
	at := event.EventTime.Time
	if at.IsZero() {
		at = event.FirstTimestamp.Time
	}
	o := trail.Observation{
		Subject: trail.Subject{Kind: about.Kind, Namespace: about.Namespace, Name: about.Name, UID: string(about.UID)},
		Stage:   stage, Time: at,
		Evidence: trail.Evidence{Source: trail.SourceEvent, ID: event.Name},
		Summary:  event.Reason + ": " + strings.TrimSpace(event.Message),
		Facts: []trail.Fact{
			{Key: trail.FactEventReason, Value: event.Reason},
			{Key: "message", Value: strings.TrimSpace(event.Message)},
		},
	}
	if event.Count > 1 {
		o.Facts = append(o.Facts, trail.Fact{Key: "seen", Value: strconv.Itoa(int(event.Count)) + " times"})
	}
	if container := containerOf(about.FieldPath); container != "" {
		o.Facts = append(o.Facts, trail.Fact{Key: trail.FactContainer, Value: container})
	}
	if event.Reason == "Pulled" {
		o.Duration = addPull(&o, event.Message)
	}
	return o, true
}

var containerPath = regexp.MustCompile(`^spec\.(?:initContainers|containers|ephemeralContainers)\{(.+)\}$`)

func containerOf(fieldPath string) string {
	if match := containerPath.FindStringSubmatch(fieldPath); match != nil {
		return match[1]
	}
	return ""
}

// pulled and present match the kubelet's two messages, see pkg/kubelet/images/image_manager.go EnsureImageExists.
var (
	pulled  = regexp.MustCompile(`^Successfully pulled image "([^"]+)" in (\S+) \(\S+ including waiting\)\. Image size: (\d+) bytes`)
	present = regexp.MustCompile(`^Container image "([^"]+)" already present on machine`)
)

// addPull adds the image and the pull's time and size, and returns the time.
func addPull(o *trail.Observation, message string) time.Duration {
	if match := present.FindStringSubmatch(message); match != nil {
		o.Facts = append(o.Facts, trail.Fact{Key: trail.FactImage, Value: match[1]},
			trail.Fact{Key: trail.FactPull, Value: "already on the node"})
		return 0
	}
	match := pulled.FindStringSubmatch(message)
	if match == nil {
		return 0
	}
	size, err := strconv.ParseInt(match[3], 10, 64)
	if err != nil {
		return 0
	}
	took, err := time.ParseDuration(match[2])
	if err != nil {
		return 0
	}
	o.Facts = append(o.Facts, trail.Fact{Key: trail.FactImage, Value: match[1]},
		trail.Fact{Key: trail.FactPull, Value: fmt.Sprintf("%s (%s)", took, Bytes(size))})
	return took
}
