// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"podtrail.dev/podtrail/trail/source"
)

// event is the part of an audit.k8s.io/v1 Event that decides whether it is kept, and says what it is about.
type event struct {
	Kind       string        `json:"kind"`
	APIVersion string        `json:"apiVersion"`
	AuditID    string        `json:"auditID"`
	Stage      auditv1.Stage `json:"stage"`
	Verb       string        `json:"verb"`
	RequestURI string        `json:"requestURI"`
	// RequestReceivedTimestamp is when the API server got the request, StageTimestamp when it wrote this.
	RequestReceivedTimestamp time.Time        `json:"requestReceivedTimestamp"`
	StageTimestamp           time.Time        `json:"stageTimestamp"`
	ObjectRef                *objectReference `json:"objectRef"`
	ResponseObject           struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	} `json:"responseObject"`
}

type objectReference struct {
	Resource    string `json:"resource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	APIGroup    string `json:"apiGroup"`
	Subresource string `json:"subresource"`
}

// writes are the verbs that change an object. A trail is made of writes: reads are most of the log and tell nothing.
var writes = []string{"create", "update", "patch", "delete", "deletecollection"}

// kept lists the resources that a trail is made of, each with the subresources whose writes belong to it; "" is the
// object itself. It says what to keep, not what to leave out, so that no Secret, ConfigMap or token is ever kept,
// whatever the audit policy lets through. pods/exec, attach, portforward and proxy are left out on purpose: their
// URLs carry what a person typed.
var kept = map[schema.GroupResource][]string{
	{Resource: "pods"}:  {"", "status", "binding", "eviction", "ephemeralcontainers", "resize"},
	{Resource: "nodes"}: {"", "status"},
	// POST to bindings is the older way to write pods/binding.
	{Resource: "bindings"}:                                        {""},
	{Group: "apps", Resource: "deployments"}:                      {"", "status", "scale"},
	{Group: "apps", Resource: "replicasets"}:                      {"", "status", "scale"},
	{Group: "apps.podtrail.dev", Resource: "teachingreplicasets"}: {"", "status", "scale"},
}

// keep says whether a trail can need the event. An event of the stage RequestReceived is not needed: a later event
// with the same Audit-ID says all of it again. A dry run writes nothing.
func keep(e event) bool {
	if e.ObjectRef == nil || e.Stage == auditv1.StageRequestReceived || !slices.Contains(writes, e.Verb) || source.DryRun(e.RequestURI) {
		return false
	}
	subresources := kept[schema.GroupResource{Group: e.ObjectRef.APIGroup, Resource: e.ObjectRef.Resource}]
	return slices.Contains(subresources, e.ObjectRef.Subresource)
}

// isProbe reports whether the event is of a request by which podtrail doctor proves that evidence is delivered. Only that
// it arrived is remembered.
func isProbe(e event) bool {
	return e.ObjectRef != nil && e.Stage == auditv1.StageResponseComplete && e.Verb == "create" && e.ObjectRef.APIGroup == source.ProbeGroup &&
		e.ObjectRef.Resource == source.ProbeResource && source.IsProbe(e.AuditID)
}
