// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"podtrail.dev/podtrail/telemetry/names"
	"podtrail.dev/podtrail/trail"
)

// Reconcile is the source name of the TeachingReplicaSet controller's records, which the manager serves at
// /v1/records. A Record's Data is one SpanTree by the name of names.ReconcileSpan, whose attributes the package
// telemetry/names describes; its children are the requests that the pass sent to the API server. For example, shortened:
//
//	{"source": "reconcile", "data": {
//	  "name": "Reconcile", "spanID": "…", "start": "…", "end": "…",
//	  "attributes": {"k8s.namespace.name": "demo", "podtrail.owner.name": "web", "podtrail.owner.uid": "…",
//	    "podtrail.pods.counted": 1, "podtrail.plan.desired": 3, "podtrail.plan.current": 1,
//	    "podtrail.plan.create": ["web-x7k2p", "web-c9d4f"], "podtrail.plan.batches": [1, 1]},
//	  "events": [{"name": "trigger", "time": "…", "attributes": {"podtrail.trigger.event": "Deleted",
//	    "podtrail.trigger.kind": "Pod", "podtrail.trigger.name": "web-q2w8z"}}],
//	  "children": [{"name": "POST", "attributes": {"podtrail.audit_id": "…", "podtrail.request.pod": "web-x7k2p",
//	    "url.path": "/api/v1/namespaces/demo/pods", "http.response.status_code": 201}}]}}
const Reconcile = trail.SourceReconcile

// ownerKind is the kind of the objects that the controller reconciles.
const ownerKind = "TeachingReplicaSet"

// Keys of facts that reconcile records give.
const (
	factRanBecause = "ran because"
	factPlan       = "plan"
	factWaited     = "waited in the queue"
)

// ParseReconcile turns the record of one pass into observations of stage Reconcile. The first is about the object that
// was reconciled, by its UID. One more is about each request that the pass sent to a Pod: it has no UID and joins the
// Pod by the request's Audit-ID; it says why the Pod was made, or chosen for deletion. A pass that saw the object, did
// nothing and had nothing to wait for gives none, because most passes are so. An error means that the record is none.
func ParseReconcile(record Record) ([]trail.Observation, error) {
	var span SpanTree
	if err := json.Unmarshal(record.Data, &span); err != nil {
		return nil, fmt.Errorf("decode reconcile record: %w", err)
	}
	p := pass{span: span, node: record.Node}
	p.owner = trail.Subject{
		Kind: ownerKind, Namespace: p.text(names.Namespace), Name: p.text(names.OwnerName), UID: p.text(names.OwnerUID),
	}
	if span.Name != names.ReconcileSpan || p.owner.Name == "" {
		return nil, fmt.Errorf("reconcile record is a span %q about %q: want %q and the name of an object in attribute %s",
			span.Name, p.owner.Name, names.ReconcileSpan, names.OwnerName)
	}
	if p.isIdle() {
		return nil, nil
	}
	observations := []trail.Observation{p.observe()}
	for _, request := range span.Children {
		if pod, _ := request.Attributes[names.RequestPod].(string); pod != "" {
			observations = append(observations, p.observeRequest(request, pod))
		}
	}
	return observations, nil
}

// pass is one reconcile record.
type pass struct {
	span  SpanTree
	node  string
	owner trail.Subject
}

// isIdle says that the pass did nothing and that nothing kept it from doing something. One that did not come to read
// its object is idle too: it joins no object.
func (p pass) isIdle() bool {
	return p.owner.UID == "" || len(p.span.Children) == 0 && p.span.Error == "" && p.text(names.PlanHold) == ""
}

func (p pass) observe() trail.Observation {
	o := p.start(p.span)
	o.Subject = p.owner
	o.Evidence.ID = p.span.SpanID
	o.Summary = p.text(names.Controller) + " " + p.decision()
	o.Facts = facts(
		factRanBecause, p.triggers(),
		factWaited, seconds(p.number(names.QueueSeconds)),
		factPlan, p.compared(),
		"creates", enumerate(p.list(names.PlanCreate)),
		"in batches of", enumerate(p.list(names.PlanBatches)),
		"deletes", enumerate(p.deletions()),
		"expected", p.expected(),
		"cache of Pods", p.cache(names.CachePods, names.WrittenPods),
		"cache of "+ownerKind+"s", p.cache(names.CacheOwners, names.WrittenOwners),
		"next pass in", seconds(p.number(names.RequeueSeconds)),
	)
	if p.span.Error != "" {
		o.Failure = &trail.Failure{Reason: "ReconcileError", Message: p.span.Error}
	}
	return o
}

// observeRequest is about the Pod that one request of the pass created, deleted or patched.
func (p pass) observeRequest(request SpanTree, pod string) trail.Observation {
	o := p.start(request)
	o.Subject = trail.Subject{Kind: "Pod", Namespace: p.owner.Namespace, Name: pod}
	o.Keys.AuditID, _ = request.Attributes[names.AuditID].(string)
	o.Evidence.ID = request.SpanID
	o.Summary = fmt.Sprintf("%s asked by %s, which %s", verb(request), p.owner, p.compared())
	o.Facts = facts(
		factRanBecause, p.triggers(),
		"batch", p.batchOf(pod),
		"chosen because", p.ruleOf(pod),
	)
	if request.Error != "" {
		code, _ := request.Attributes[names.Status].(float64)
		o.Failure = &trail.Failure{Reason: "RequestFailed", Message: request.Error, Code: int32(code)}
	}
	return o
}

func (p pass) start(span SpanTree) trail.Observation {
	return trail.Observation{
		Stage: trail.Reconcile, Time: span.Start, Duration: span.End.Sub(span.Start),
		Evidence: trail.Evidence{Source: trail.SourceReconcile, Node: p.node},
	}
}

// verb says what a request does to a Pod.
func verb(request SpanTree) string {
	switch method, _ := request.Attributes[names.Method].(string); method {
	case "POST":
		return "creation"
	case "DELETE":
		return "deletion"
	case "PATCH":
		return "adoption or release"
	case "GET":
		return "a look"
	default:
		return method
	}
}

// decision says in a few words what the pass decided.
func (p pass) decision() string {
	creates, deletes := len(p.list(names.PlanCreate)), len(p.list(names.PlanDelete))
	switch {
	case p.text(names.PlanHold) != "":
		return fmt.Sprintf("%s: holds, %s", p.compared(), p.text(names.PlanHold))
	case creates > 0:
		return fmt.Sprintf("%s: creates %d", p.compared(), creates)
	case deletes > 0:
		return fmt.Sprintf("%s: deletes %d", p.compared(), deletes)
	case p.has(names.PlanDesired):
		return fmt.Sprintf("%s: writes the status", p.compared())
	default:
		return "stopped before it could plan"
	}
}

// compared says which numbers the plan follows from.
func (p pass) compared() string {
	if !p.has(names.PlanDesired) {
		return "made no plan"
	}
	return fmt.Sprintf("wants %.0f and counts %.0f", p.number(names.PlanDesired), p.number(names.PlanCurrent))
}

// triggers says what asked for the pass. The record names the first ones only.
func (p pass) triggers() string {
	var words []string
	for _, event := range p.span.Events {
		if event.Name != names.EventTrigger {
			continue
		}
		kind, _ := event.Attributes[names.TriggerKind].(string)
		name, _ := event.Attributes[names.TriggerName].(string)
		what, _ := event.Attributes[names.TriggerEvent].(string)
		words = append(words, strings.ToLower(what)+": "+kind+" "+name)
	}
	if len(words) == 0 {
		return "an earlier pass asked for it"
	}
	return enumerate(words)
}

func (p pass) deletions() []string {
	rules := p.list(names.PlanDeleteRules)
	var words []string
	for i, pod := range p.list(names.PlanDelete) {
		if i < len(rules) {
			pod += " (" + rules[i] + ")"
		}
		words = append(words, pod)
	}
	return words
}

// ruleOf is the rule that chose a Pod for deletion, empty if it was not chosen.
func (p pass) ruleOf(pod string) string {
	rules := p.list(names.PlanDeleteRules)
	if i := slices.Index(p.list(names.PlanDelete), pod); i >= 0 && i < len(rules) {
		return rules[i]
	}
	return ""
}

// batchOf says in which batch a Pod was made, empty if it was not to be.
func (p pass) batchOf(pod string) string {
	left := slices.Index(p.list(names.PlanCreate), pod)
	batches, _ := p.span.Attributes[names.PlanBatches].([]any)
	if left < 0 {
		return ""
	}
	for i, batch := range batches {
		size, _ := batch.(float64)
		if left -= int(size); left < 0 {
			return fmt.Sprintf("%d of %d, of %.0f at the same time", i+1, len(batches), size)
		}
	}
	return ""
}

func (p pass) expected() string {
	waiting := slices.Concat(p.list(names.ExpectedCreations), p.list(names.ExpectedDeletions))
	if len(waiting) == 0 {
		return ""
	}
	return enumerate(waiting) + ": not yet seen"
}

// cache says how far a cache is, and what it had to show that the controller itself wrote.
func (p pass) cache(seen, written string) string {
	text := p.text(seen)
	if last := p.text(written); last != "" {
		text += ", last written " + last
	}
	return text
}

func (p pass) has(name string) bool {
	_, ok := p.span.Attributes[name]
	return ok
}

func (p pass) text(name string) string {
	value, _ := p.span.Attributes[name].(string)
	return value
}

func (p pass) number(name string) float64 {
	value, _ := p.span.Attributes[name].(float64)
	return value
}

func (p pass) list(name string) []string {
	values, _ := p.span.Attributes[name].([]any)
	words := make([]string, 0, len(values))
	for _, value := range values {
		words = append(words, fmt.Sprint(value))
	}
	return words
}

// maxNamed bounds how many of many a fact names.
const maxNamed = 10

// enumerate joins words for a reader.
func enumerate(words []string) string {
	if more := len(words) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:maxNamed], ", "), more)
	}
	return strings.Join(words, ", ")
}

// seconds is empty for none.
func seconds(s float64) string {
	if s <= 0 {
		return ""
	}
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond).String()
}

// facts makes facts of keys and values, by turns, and leaves out those without a value.
func facts(keysAndValues ...string) []trail.Fact {
	var out []trail.Fact
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		if keysAndValues[i+1] != "" {
			out = append(out, trail.Fact{Key: keysAndValues[i], Value: keysAndValues[i+1]})
		}
	}
	return out
}
