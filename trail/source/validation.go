// SPDX-License-Identifier: Apache-2.0

package source

import (
	"regexp"
	"slices"
	"strings"

	"podtrail.dev/podtrail/trail"
)

// webhookSaid matches the two messages by which a webhook ends a request, see k8s.io/apiserver
// pkg/admission/plugin/webhook/errors.ToStatusErr and pkg/util/webhook.ErrCallingWebhook.
var webhookSaid = regexp.MustCompile(`(?:admission webhook|failed calling webhook) "([^"]+)"`)

// validate tells the verdicts. A validating webhook that allows leaves no annotation of its own, only what its answer
// adds under its name; so the absence of one proves nothing and is told as such.
func (w *write) validate() trail.Observation {
	var parts []string
	var facts []trail.Fact
	for _, key := range sortedKeys(w.event.Annotations) {
		value := w.event.Annotations[key]
		prefix, name, _ := strings.Cut(key, "/")
		switch {
		case strings.HasPrefix(key, failedOpenCheck):
			parts = append(parts, "webhook "+value+" failed and was passed over (failurePolicy Ignore)")
			facts = append(facts, trail.Fact{Key: "failed open", Value: value})
		case key == policyFailureKey:
			parts = append(parts, "a ValidatingAdmissionPolicy objects: "+value)
			facts = append(facts, trail.Fact{Key: "policy", Value: value})
		case strings.HasPrefix(key, podSecurity):
			parts = append(parts, "Pod Security "+name+": "+value)
			facts = append(facts, trail.Fact{Key: key, Value: value})
		case w.validatingWebhook(prefix):
			facts = append(facts, trail.Fact{Key: key, Value: value})
			if line := "webhook " + prefix + ": " + noteWords(w.notesOf(prefix)); !slices.Contains(parts, line) {
				parts = append(parts, line)
			}
		}
	}
	if w.failedAt == trail.Validate {
		facts = append(facts, trail.Fact{Key: "verdict", Value: "refused"})
		if refusal := w.refusalWords(); !slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, refusal) }) {
			parts = append([]string{refusal}, parts...)
		}
		return w.observe(trail.Validate, strings.Join(parts, "\n"), facts...)
	}
	facts = append(facts, trail.Fact{Key: "verdict", Value: "allowed"})
	if len(parts) == 0 {
		parts = []string{"allowed; no webhook or policy left a note"}
	}
	return w.observe(trail.Validate, strings.Join(parts, "\n"), facts...)
}

// validatingWebhook says whether an annotation's prefix is the name of a webhook that is not a mutating one of this
// request. Webhooks' names are domains outside of Kubernetes' own.
func (w *write) validatingWebhook(prefix string) bool {
	if !strings.Contains(prefix, ".") || strings.HasSuffix(prefix, "k8s.io") || strings.HasSuffix(prefix, "kubernetes.io") {
		return false
	}
	return !w.mutatingWebhook(prefix)
}

func (w *write) mutatingWebhook(name string) bool {
	for _, c := range w.calls() {
		if c.Webhook == name {
			return true
		}
	}
	return false
}

// notesOf returns what a webhook's answer added to the audit event under its name.
func (w *write) notesOf(webhook string) []trail.Fact {
	var out []trail.Fact
	for _, key := range sortedKeys(w.event.Annotations) {
		if strings.HasPrefix(key, webhook+"/") {
			out = append(out, trail.Fact{Key: key, Value: w.event.Annotations[key]})
		}
	}
	return out
}

// noteWords puts a webhook's notes into one line: the verdict first and the rule last if it notes them under the names
// that podtrail's webhooks use, anything else as it is.
func noteWords(notes []trail.Fact) string {
	var outcome, reason, rule string
	var others []string
	for _, note := range notes {
		_, name, _ := strings.Cut(note.Key, "/")
		switch name {
		case "outcome":
			outcome = note.Value
		case "reason":
			reason = note.Value
		case "rule":
			rule = "(rule " + note.Value + ")"
		default:
			others = append(others, name+" = "+note.Value)
		}
	}
	words := outcome
	if outcome != "" && reason != "" {
		words += ", "
	}
	words = strings.TrimSpace(words + reason + " " + rule)
	if words != "" && len(others) > 0 {
		words += "; "
	}
	return words + strings.Join(others, ", ")
}

// refusalWords names who refused in stage Validate, as far as the answer tells.
func (w *write) refusalWords() string {
	message := w.failure().Message
	switch match := webhookSaid.FindStringSubmatch(message); {
	case match != nil:
		return "webhook " + match[1] + ": denied"
	case strings.Contains(message, "exceeded quota"):
		return "ResourceQuota: denied"
	case strings.Contains(message, "violates PodSecurity"):
		return "Pod Security: denied"
	case w.code() == 422:
		return "the object's own validation: invalid"
	}
	return "denied"
}

// refusedBy are the stages that answer with a code, where neither message nor authorizer tell more.
var refusedBy = map[int32]trail.Stage{
	400: trail.Submit, 413: trail.Submit, 415: trail.Submit, 429: trail.Submit,
	401: trail.Authenticate, 403: trail.Validate, 422: trail.Validate,
}

// refusingStage finds the stage that ended a refused request, from the code, the authorizer's decision and the
// message's form.
func (w *write) refusingStage() trail.Stage {
	message := w.failure().Message
	if match := webhookSaid.FindStringSubmatch(message); match != nil {
		if w.mutatingWebhook(match[1]) {
			return trail.Mutate
		}
		return trail.Validate
	}
	switch {
	case w.event.Annotations[decisionKey] == "forbid":
		return trail.Authorize
	case w.code() == 403 && strings.Contains(message, "error looking up service account"):
		return trail.Mutate // the ServiceAccount plugin, which is a mutating one
	}
	if stage, known := refusedBy[w.code()]; known {
		return stage
	}
	return trail.Persist
}
