// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"podtrail.dev/podtrail/trail"
)

// kinds are the resources that a trail follows, by API group and plural.
var kinds = map[string]string{
	"/pods":                                 "Pod",
	"apps/deployments":                      "Deployment",
	"apps/replicasets":                      "ReplicaSet",
	"apps.podtrail.dev/teachingreplicasets": "TeachingReplicaSet",
}

// methods are the HTTP methods of the verbs that write one object.
var methods = map[string]string{"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}

// write is an audit event of one write, decoded as far as its level allows.
type write struct {
	event   auditv1.Event
	request *trail.Request
	subject trail.Subject
	owner   *trail.Subject
	// sent and answered are the bodies, nil if the audit level kept none.
	sent, answered map[string]any
	evidence       trail.Evidence
	// failedAt is the stage that refused the request, 0 if it was granted.
	failedAt trail.Stage
}

// ParseAudit turns one audit.k8s.io/v1 Event into the observations that it is evidence of: stages Submit to Persist
// of the write, and Reconcile, Schedule or Run if a controller, a scheduler or a kubelet made it. Events that are not
// finished writes to a resource that a trail follows give none. An error means that the record is no audit event.
func ParseAudit(record Record) ([]trail.Observation, error) {
	event, err := decodeAudit(record)
	if err != nil {
		return nil, err
	}
	w, ok := newWrite(event, record.Node)
	if !ok {
		return nil, nil
	}
	observations := []trail.Observation{w.submit()}
	for _, next := range []struct {
		stage   trail.Stage
		observe func() trail.Observation
	}{
		{trail.Authenticate, w.authenticate}, {trail.Authorize, w.authorize}, {trail.Mutate, w.mutate},
		{trail.Validate, w.validate}, {trail.Persist, w.persist},
	} {
		if w.failedAt == 0 || next.stage <= w.failedAt {
			observations = append(observations, next.observe())
		}
	}
	if w.failedAt != 0 {
		refuse(&observations[len(observations)-1], w.failure())
		return observations, nil
	}
	return append(observations, w.effects()...), nil
}

func decodeAudit(record Record) (auditv1.Event, error) {
	var event auditv1.Event
	if err := json.Unmarshal(record.Data, &event); err != nil {
		return event, fmt.Errorf("decode audit event of node %q: %w", record.Node, err)
	}
	return event, nil
}

// newWrite takes what identifies the write; it returns false if the event is not one that a trail follows.
func newWrite(event auditv1.Event, node string) (*write, bool) {
	ref := event.ObjectRef
	if ref == nil || methods[event.Verb] == "" || DryRun(event.RequestURI) {
		return nil, false
	}
	kind := kinds[ref.APIGroup+"/"+ref.Resource]
	if kind == "" || event.Stage != auditv1.StageResponseComplete && event.Stage != auditv1.StagePanic || hadNoObject(event) {
		return nil, false
	}
	w := &write{
		event:    event,
		sent:     body(event.RequestObject),
		answered: body(event.ResponseObject),
		evidence: trail.Evidence{Source: trail.SourceAudit, Node: node, ID: string(event.AuditID)},
	}
	w.request = &trail.Request{
		AuditID: string(event.AuditID), Verb: event.Verb, Subresource: ref.Subresource, URI: event.RequestURI,
		User: event.User.Username, Received: event.RequestReceivedTimestamp.Time, Code: w.code(),
		Took:            max(0, event.StageTimestamp.Sub(event.RequestReceivedTimestamp.Time)),
		ResourceVersion: w.storedVersion(),
	}
	// A server-side apply is a patch that may create; only then the answer is 201 Created.
	w.request.Creates = ref.Subresource == "" && (event.Verb == "create" || event.Verb == "patch" && w.code() == 201)
	w.subject = w.identify(kind)
	w.owner = controllerOf(w.subject.Namespace, w.answered, w.sent)
	if w.code() >= 400 {
		w.failedAt = w.refusingStage()
	}
	return w, true
}

// DryRun says that a request asked by its URI for nothing to be stored, so that it is no part of any object's way. A delete
// can ask in its body too, which is not looked at.
func DryRun(requestURI string) bool {
	at, err := url.ParseRequestURI(requestURI)
	return err == nil && at.Query().Has("dryRun")
}

// hadNoObject says that the answer was that there is no object of that name: the write belongs to no object's way, and
// least of all to that of one which later took the name.
func hadNoObject(event auditv1.Event) bool {
	status := event.ResponseStatus
	return status != nil && status.Reason == metav1.StatusReasonNotFound && status.Details != nil &&
		status.Details.Name == event.ObjectRef.Name && status.Details.Kind == event.ObjectRef.Resource
}

func (w *write) code() int32 {
	if w.event.ResponseStatus == nil {
		return 0
	}
	return w.event.ResponseStatus.Code
}

// body decodes a JSON body; what is none counts as not kept.
func body(raw *runtime.Unknown) map[string]any {
	if raw == nil {
		return nil
	}
	var out map[string]any
	if json.Unmarshal(raw.Raw, &out) != nil {
		return nil
	}
	return out
}

// isStatus says that an answer is a metav1.Status and not the object.
func isStatus(answer map[string]any) bool { return text(answer, "kind") == "Status" }

// text returns the string at a path of fields, "" if there is none.
func text(object map[string]any, path ...string) string {
	var at any = object
	for _, field := range path {
		fields, ok := at.(map[string]any)
		if !ok {
			return ""
		}
		at = fields[field]
	}
	s, _ := at.(string)
	return s
}

// storedVersion is the object's resourceVersion after the write, as the answer shows it.
func (w *write) storedVersion() string {
	if w.code() >= 400 || isStatus(w.answered) {
		return ""
	}
	return text(w.answered, "metadata", "resourceVersion")
}

// identify takes name and UID from the answer, else from the reference and the body that was sent. A Binding and a
// kubelet's status carry their Pod's UID in what is sent, a deletion in the Status that answers it.
func (w *write) identify(kind string) trail.Subject {
	ref := w.event.ObjectRef
	s := trail.Subject{Kind: kind, Namespace: ref.Namespace}
	uids := []string{text(w.answered, "metadata", "uid"), text(w.answered, "details", "uid")}
	if neverStored := w.event.Verb == "create" && w.code() >= 400 && ref.Subresource == ""; !neverStored {
		uids = append(uids, string(ref.UID), text(w.sent, "metadata", "uid"))
	}
	s.UID = firstOf(uids...)
	s.Name = firstOf(ref.Name, text(w.answered, "metadata", "name"), text(w.sent, "metadata", "name"))
	if generated := text(w.sent, "metadata", "generateName"); s.Name == "" && generated != "" {
		s.Name = generated + "…"
	}
	return s
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// controllerOf returns the controller's ownerReference of the first body that has one.
func controllerOf(namespace string, bodies ...map[string]any) *trail.Subject {
	for _, object := range bodies {
		metadata, _ := object["metadata"].(map[string]any)
		references, _ := metadata["ownerReferences"].([]any)
		for _, reference := range references {
			fields, _ := reference.(map[string]any)
			if fields["controller"] == true && text(fields, "uid") != "" {
				return &trail.Subject{
					Kind: text(fields, "kind"), Namespace: namespace, Name: text(fields, "name"), UID: text(fields, "uid"),
				}
			}
		}
	}
	return nil
}

// observe starts an observation of a stage of this write.
func (w *write) observe(stage trail.Stage, summary string, facts ...trail.Fact) trail.Observation {
	return trail.Observation{
		Subject: w.subject, Owner: w.owner, Request: w.request, Stage: stage, Evidence: w.evidence,
		Summary: summary, Facts: slices.DeleteFunc(facts, func(f trail.Fact) bool { return f.Value == "" }),
	}
}

// submit tells what was sent. The audit log keeps bodies as JSON, whatever the content type was.
func (w *write) submit() trail.Observation {
	method, path := methods[w.event.Verb], w.event.RequestURI
	manager := ""
	if u, err := url.ParseRequestURI(w.event.RequestURI); err == nil {
		path, manager = shortPath(u.Path), u.Query().Get("fieldManager")
	}
	size := ""
	if w.event.RequestObject != nil {
		size = Bytes(int64(len(w.event.RequestObject.Raw)))
	}
	var note []string
	if manager != "" {
		note = append(note, manager)
	}
	if size != "" {
		note = append(note, size+" as JSON")
	}
	summary := client(w.event.UserAgent) + " " + method + " " + path
	if len(note) > 0 {
		summary += " (" + strings.Join(note, ", ") + ")"
	}
	o := w.observe(trail.Submit, summary,
		trail.Fact{Key: "verb", Value: w.event.Verb},
		trail.Fact{Key: "URI", Value: w.event.RequestURI},
		trail.Fact{Key: "user agent", Value: w.event.UserAgent},
		trail.Fact{Key: "field manager", Value: manager},
		trail.Fact{Key: "body", Value: size},
		trail.Fact{Key: trail.FactContentType, Value: w.contentType()},
		trail.Fact{Key: "sent from", Value: strings.Join(w.event.SourceIPs, ", ")},
	)
	o.Time, o.Duration = w.request.Received, w.request.Took
	return o
}

// shortPath leaves out of a path what the object's own line says already.
func shortPath(path string) string {
	if _, after, ok := strings.Cut(path, "/namespaces/"); ok {
		if _, resource, ok := strings.Cut(after, "/"); ok {
			return "…/" + resource
		}
	}
	return path
}

// contentType is told only where the body's form leaves no doubt: of all patches only a JSON Patch is an array.
func (w *write) contentType() string {
	if w.event.Verb == "patch" && w.event.RequestObject != nil &&
		strings.HasPrefix(strings.TrimSpace(string(w.event.RequestObject.Raw)), "[") {
		return "application/json-patch+json"
	}
	return ""
}

// client shortens a user agent to its program and version.
func client(agent string) string {
	program, _, _ := strings.Cut(agent, " ")
	name, version, found := strings.Cut(program, "/")
	switch {
	case name == "":
		return "a client without a user agent:"
	case !found:
		return name
	}
	return name + " " + strings.TrimPrefix(version, "v")
}

// failure is the API server's answer to a refused request.
func (w *write) failure() *trail.Failure {
	status := w.event.ResponseStatus
	if status == nil {
		status = &metav1.Status{}
	}
	message := firstOf(status.Message, text(w.answered, "message"), "the API server gave no message")
	reason := firstOf(string(status.Reason), text(w.answered, "reason"), fmt.Sprintf("HTTP %d", status.Code))
	return &trail.Failure{Reason: reason, Message: message, Code: status.Code}
}

// refuse marks an observation's stage as the one that ended the write.
func refuse(o *trail.Observation, failure *trail.Failure) {
	o.Failure, o.Missing = failure, nil
	o.Facts = append(o.Facts,
		trail.Fact{Key: "refused", Value: fmt.Sprintf("%d %s", failure.Code, failure.Reason)},
		trail.Fact{Key: "message", Value: failure.Message})
}

// Bytes writes a size in decimal units as kubectl's users know it from images.
func Bytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	case n < 1000*1000*1000:
		return fmt.Sprintf("%.1f MB", float64(n)/1000/1000)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1000/1000/1000)
}
