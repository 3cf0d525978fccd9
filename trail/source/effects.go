// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"podtrail.dev/podtrail/trail"
)

// controllerAccounts are the service accounts under which the controllers of the kinds write, by the owner's kind:
// of Kubernetes' own see pkg/controller (ControllerClientBuilder), ours is the manager's.
var controllerAccounts = map[string]string{
	"Deployment":         "system:serviceaccount:kube-system:deployment-controller",
	"ReplicaSet":         "system:serviceaccount:kube-system:replicaset-controller",
	"TeachingReplicaSet": "system:serviceaccount:podtrail-system:podtrail-manager",
}

// persist tells what the answer shows of the stored object. Its size and key in etcd are not in the audit log.
func (w *write) persist() trail.Observation {
	version := w.request.ResourceVersion
	if w.failedAt == trail.Persist {
		return w.observe(trail.Persist, "not stored: "+w.failure().Reason)
	}
	if version == "" {
		return w.persistUnknown()
	}
	summary := "stored as resourceVersion " + version
	switch deleted := text(w.answered, "metadata", "deletionTimestamp"); {
	case w.event.Verb == "delete" && deleted != "":
		summary = "marked for deletion, resourceVersion " + version
	case w.event.Verb == "delete":
		summary = "removed at resourceVersion " + version
	}
	o := w.observe(trail.Persist, summary,
		trail.Fact{Key: trail.FactStoredVersion, Value: version},
		trail.Fact{Key: "UID", Value: text(w.answered, "metadata", "uid")},
		trail.Fact{Key: "generation", Value: number(w.answered, "metadata", "generation")},
		trail.Fact{Key: "creationTimestamp", Value: text(w.answered, "metadata", "creationTimestamp")},
	)
	o.State = w.state()
	return o
}

func (w *write) persistUnknown() trail.Observation {
	if w.event.Level == auditv1.LevelMetadata || w.event.Level == auditv1.LevelRequest {
		return w.unknown(trail.Persist, "audit level "+string(w.event.Level)+" keeps no answer, so the resourceVersion is not known",
			levelRemedy(w.subject.Namespace))
	}
	return w.observe(trail.Persist, "stored; the answer to this request shows no object",
		trail.Fact{Key: "answer", Value: fmt.Sprintf("%d %s", w.code(), text(w.answered, "status"))})
}

// number returns a number at a path of fields in words, "" if there is none.
func number(object map[string]any, path ...string) string {
	var at any = object
	for _, field := range path {
		fields, _ := at.(map[string]any)
		at = fields[field]
	}
	if n, ok := at.(float64); ok {
		return fmt.Sprintf("%.0f", n)
	}
	return ""
}

// state is the object's status as the answer shows it; nil if the answer is not the object.
func (w *write) state() *trail.State {
	if w.event.ResponseObject == nil || text(w.answered, "kind") != w.subject.Kind {
		return nil
	}
	if w.subject.Kind == "Pod" {
		var pod corev1.Pod
		if json.Unmarshal(w.event.ResponseObject.Raw, &pod) != nil {
			return nil
		}
		state := podState(&pod)
		if state.Ready {
			state.ReadyAt = w.event.StageTimestamp.Time
		}
		return state
	}
	state := &trail.State{
		ResourceVersion: w.request.ResourceVersion,
		Terminating:     text(w.answered, "metadata", "deletionTimestamp") != "",
	}
	spec, _ := w.answered["spec"].(map[string]any)
	if n, ok := spec["replicas"].(float64); ok {
		desired := int32(n)
		state.Desired = &desired
	}
	return state
}

// effects are the stages after Persist that this write is the evidence of.
func (w *write) effects() []trail.Observation {
	subresource := w.event.ObjectRef.Subresource
	switch {
	case w.request.Creates && w.owner != nil:
		return []trail.Observation{w.made()}
	case subresource == "binding" && w.event.Verb == "create":
		return []trail.Observation{w.bound()}
	case subresource == "status" && w.subject.Kind == "Pod" && w.sent != nil:
		return w.podStatus()
	case subresource == "status" && w.sent != nil:
		return []trail.Observation{w.counted()}
	}
	return nil
}

// made tells, for the owner, that a controller made an object for it.
func (w *write) made() trail.Observation {
	actor := w.event.User.Username
	name := actor[strings.LastIndexByte(actor, ':')+1:]
	if actor != controllerAccounts[w.owner.Kind] {
		name = person(actor)
	}
	o := w.observe(trail.Reconcile, name+" made "+w.subject.String(),
		trail.Fact{Key: trail.FactController, Value: actor},
		trail.Fact{Key: trail.FactChild, Value: w.subject.String()},
		trail.Fact{Key: trail.FactChildUID, Value: w.subject.UID},
	)
	o.Subject, o.Owner = *w.owner, nil
	o.Time, o.Duration = w.request.Received, w.request.Took
	return o
}

// counted tells what a controller wrote into a workload's status.
func (w *write) counted() trail.Observation {
	actor := w.event.User.Username
	var parts []string
	facts := []trail.Fact{{Key: trail.FactController, Value: actor}}
	for _, field := range []string{"replicas", "readyReplicas", "availableReplicas", "updatedReplicas"} {
		if n := number(w.answered, "status", field); n != "" {
			parts = append(parts, field+" "+n)
			facts = append(facts, trail.Fact{Key: "status." + field, Value: n})
		}
	}
	if len(parts) == 0 {
		parts = []string{"no Pods counted"}
	}
	o := w.observe(trail.Reconcile, actor[strings.LastIndexByte(actor, ':')+1:]+" wrote status: "+strings.Join(parts, ", "), facts...)
	o.Time, o.Duration = w.request.Received, w.request.Took
	return o
}

// bound tells the Binding, by which the API server sets spec.nodeName.
func (w *write) bound() trail.Observation {
	node := text(w.sent, "target", "name")
	scheduler := schedulerName(w.event)
	summary := scheduler + " bound it to " + node
	if node == "" {
		summary = scheduler + " bound it; the audit level keeps no node's name"
	}
	o := w.observe(trail.Schedule, summary,
		trail.Fact{Key: trail.FactNode, Value: node},
		trail.Fact{Key: "scheduler", Value: w.event.User.Username},
		trail.Fact{Key: "Binding", Value: "POST " + w.event.RequestURI},
	)
	o.Time, o.Duration = w.request.Received, w.request.Took
	return o
}

// schedulerName is the last part of the scheduler's user: kube-scheduler, or the service account's name.
func schedulerName(event auditv1.Event) string {
	user := event.User.Username
	return firstOf(user[strings.LastIndexByte(user, ':')+1:], "a scheduler")
}

// podStatus tells what a kubelet or a scheduler wrote into a Pod's status.
func (w *write) podStatus() []trail.Observation {
	var sent struct {
		Status corev1.PodStatus `json:"status"`
	}
	if json.Unmarshal(w.event.RequestObject.Raw, &sent) != nil {
		return nil
	}
	actor := w.event.User.Username
	var o trail.Observation
	node, isKubelet := strings.CutPrefix(actor, nodePrefix)
	switch {
	case isKubelet:
		facts := append([]trail.Fact{{Key: trail.FactNode, Value: node}}, statusFacts(sent.Status)...)
		o = w.observe(trail.Run, "kubelet of "+node+": "+statusWords(sent.Status), facts...)
	case scheduledVerdict(sent.Status) != "":
		o = w.observe(trail.Schedule, schedulerName(w.event)+": "+scheduledVerdict(sent.Status),
			trail.Fact{Key: "scheduler", Value: actor}, trail.Fact{Key: "verdict", Value: scheduledVerdict(sent.Status)})
	default:
		return nil
	}
	o.Time, o.Duration = w.request.Received, w.request.Took
	return []trail.Observation{o}
}

// scheduledVerdict is the reason why a scheduler found no node, "" if the status tells none.
func scheduledVerdict(status corev1.PodStatus) string {
	for _, condition := range status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return strings.TrimSpace(condition.Reason + ": " + condition.Message)
		}
	}
	return ""
}
