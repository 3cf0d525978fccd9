// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"podtrail.dev/podtrail/trail"
)

// onTheWay are the reasons why a container waits that are no failure.
var onTheWay = []string{"", "ContainerCreating", "PodInitializing"}

// podState sums up a Pod at its resourceVersion. ReadyAt is left to the caller, who knows how exactly it is dated.
func podState(pod *corev1.Pod) *trail.State {
	state := &trail.State{
		ResourceVersion: pod.ResourceVersion,
		Node:            pod.Spec.NodeName,
		Scheduler:       pod.Spec.SchedulerName,
		Phase:           string(pod.Status.Phase),
		Terminating:     pod.DeletionTimestamp != nil,
	}
	for _, condition := range pod.Status.Conditions {
		switch {
		case condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue:
			state.Ready = true
		case condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse:
			state.FailedAt = trail.Schedule
			state.Failure = &trail.Failure{Reason: condition.Reason, Message: condition.Message}
		}
	}
	if state.Ready {
		return state
	}
	if failure := runFailure(pod.Status); failure != nil {
		state.FailedAt, state.Failure = trail.Run, failure
	}
	return state
}

// runFailure is why the kubelet can't bring the Pod to Ready, nil if it is merely on the way.
func runFailure(status corev1.PodStatus) *trail.Failure {
	for _, container := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses) {
		if ended := container.State.Terminated; ended != nil && ended.ExitCode != 0 {
			return &trail.Failure{
				Reason:  firstOf(ended.Reason, "Error"),
				Message: fmt.Sprintf("container %q: %s", container.Name, containerWords(container)),
			}
		}
		waiting := container.State.Waiting
		if waiting == nil || slices.Contains(onTheWay, waiting.Reason) {
			continue
		}
		message := fmt.Sprintf("container %q: %s", container.Name, firstOf(waiting.Message, waiting.Reason))
		if last := container.LastTerminationState.Terminated; last != nil {
			message += fmt.Sprintf("; it ended last with exit code %d (%s)", last.ExitCode, last.Reason)
		}
		return &trail.Failure{Reason: waiting.Reason, Message: message}
	}
	if status.Phase == corev1.PodFailed {
		return &trail.Failure{
			Reason:  firstOf(status.Reason, "PodFailed"),
			Message: firstOf(status.Message, "a container ended with an error and restartPolicy lets none start again"),
		}
	}
	return nil
}

// shownConditions are a Pod's conditions in the order in which they become True.
var shownConditions = []corev1.PodConditionType{
	corev1.PodScheduled, corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady,
}

// statusFacts lists what a status holds.
func statusFacts(status corev1.PodStatus) []trail.Fact {
	facts := []trail.Fact{
		{Key: trail.FactHostIP, Value: status.HostIP},
		{Key: trail.FactPodIP, Value: status.PodIP},
		{Key: "phase", Value: string(status.Phase)},
	}
	for _, condition := range inOrder(status.Conditions) {
		value := string(condition.Status)
		if !condition.LastTransitionTime.IsZero() {
			value += " since " + condition.LastTransitionTime.UTC().Format(time.RFC3339)
		}
		if condition.Reason != "" {
			value += " (" + condition.Reason + ")"
		}
		facts = append(facts, trail.Fact{Key: string(condition.Type), Value: value})
	}
	for _, container := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses) {
		facts = append(facts, trail.Fact{Key: trail.FactContainer + " " + container.Name, Value: containerWords(container)})
	}
	return slices.DeleteFunc(facts, func(f trail.Fact) bool { return f.Value == "" })
}

func inOrder(conditions []corev1.PodCondition) []corev1.PodCondition {
	var out []corev1.PodCondition
	for _, want := range shownConditions {
		for _, condition := range conditions {
			if condition.Type == want {
				out = append(out, condition)
			}
		}
	}
	return out
}

// statusWords says in one line what is new in a status.
func statusWords(status corev1.PodStatus) string {
	var parts []string
	if status.PodIP != "" {
		parts = append(parts, "Pod IP "+status.PodIP)
	}
	for _, condition := range inOrder(status.Conditions) {
		if condition.Type != corev1.PodScheduled && condition.Status == corev1.ConditionTrue {
			parts = append(parts, string(condition.Type))
		}
	}
	for _, container := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses) {
		parts = append(parts, container.Name+" "+containerWords(container))
	}
	if len(parts) == 0 {
		return "wrote status " + string(status.Phase)
	}
	return strings.Join(parts, ", ")
}

func containerWords(container corev1.ContainerStatus) string {
	restarts := ""
	if container.RestartCount > 0 {
		restarts = fmt.Sprintf(", restarted %d times", container.RestartCount)
	}
	switch state := container.State; {
	case state.Running != nil:
		return "running since " + state.Running.StartedAt.UTC().Format(time.TimeOnly) + restarts
	case state.Terminated != nil:
		return fmt.Sprintf("ended with exit code %d (%s)%s", state.Terminated.ExitCode, state.Terminated.Reason, restarts)
	case state.Waiting != nil:
		return "waiting: " + state.Waiting.Reason + restarts
	}
	return "not started"
}
