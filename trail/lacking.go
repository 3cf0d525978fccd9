// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"slices"
	"strings"
	"time"
)

// listening is what is known of the recorders, by node.
type listening map[string]Listening

func listeningOf(all []Listening) listening {
	out := listening{}
	for _, l := range all {
		out[l.Node] = l
	}
	return out
}

// LacksSpans reports whether the trail says at some stage that spans are missing. What recorders say of their senders tells
// why, see Build.
func (t *Trail) LacksSpans() bool {
	lacks := false
	t.Walk(func(o *Object) {
		lacks = lacks || slices.ContainsFunc(o.Entries(), func(e Entry) bool { return e.Missing != nil && e.Missing.Source == SourceSpan })
	})
	return lacks
}

// SpansComeSoon reports whether spans of an object's creation or of its own stages, not of its later writes, will be there
// in seconds.
func (t *Trail) SpansComeSoon() bool {
	soon := false
	t.Walk(func(o *Object) {
		soon = soon || slices.ContainsFunc(slices.Concat(o.Created.Stages, o.Stages), func(e Entry) bool { return e.Missing != nil && e.Missing.Soon })
	})
	return soon
}

// addLacking says, at the stages which other sources show and no span does, that spans are missing and why.
func (o *Object) addLacking(of listening) {
	o.Created.addLacking(of)
	for i := range o.Writes {
		o.Writes[i].addLacking(of)
	}
	if missing := o.lackingRun(of); missing != nil {
		for i := range o.Stages {
			if e := &o.Stages[i]; e.Stage == Run && e.Missing == nil {
				e.Missing = missing
			}
		}
	}
}

// addLacking says it at the stages of a request that the audit log has, from Authorize on: Submit has the audit
// event's own times, and the API server measures no authentication.
func (w *Write) addLacking(of listening) {
	node, audited := "", false
	for _, e := range w.Stages {
		for _, o := range e.Observations {
			switch o.Evidence.Source {
			case SourceSpan:
				return
			case SourceAudit:
				node, audited = o.Evidence.Node, true
			}
		}
	}
	if !audited {
		return
	}
	missing := of.why(node, SenderAPIServer, "this request", w.Received, w.Received.Add(w.Took))
	for i := range w.Stages {
		if e := &w.Stages[i]; e.Stage >= Authorize && e.Stage <= Persist && e.Missing == nil {
			e.Missing = missing
		}
	}
}

// lackingRun says which spans of a Pod's node are missing, nil if none are: the kubelet's, or those of the runtime that the
// kubelet's spans say it asked. A kubelet's first spans come at the end of its first sync of the Pod, so of a Pod that is
// still Pending there may rightly be none.
func (o *Object) lackingRun(of listening) *Missing {
	if o.Subject.Kind != "Pod" || o.State == nil || o.State.Node == "" {
		return nil
	}
	i := slices.IndexFunc(o.Stages, func(e Entry) bool { return e.Stage == Run })
	if i < 0 || len(o.Stages[i].Observations) == 0 {
		return nil
	}
	sender := o.Stages[i].lackingSender()
	if sender == "" || sender == SenderKubelet && o.State.Phase == "Pending" && !of.lacks(o.State.Node, sender) {
		return nil
	}
	return of.why(o.State.Node, sender, "this Pod", o.bound(), latest(o.bound(), o.ReadyAt))
}

// lackingSender is the one of whom the stage Run has no span and should have, "" if there is none.
func (e Entry) lackingSender() string {
	kubelet, asked, runtime := false, false, false
	for _, obs := range e.Observations {
		span, _ := obs.Fact(FactSpan)
		switch obs.Sender {
		case SenderKubelet:
			kubelet, asked = true, asked || strings.HasPrefix(span, "runtime.")
		case "":
		default:
			runtime = true
		}
	}
	switch {
	case !kubelet:
		return SenderKubelet
	case asked && !runtime:
		return SenderRuntime
	}
	return ""
}

// lacks reports whether a node's sender is known not to deliver.
func (of listening) lacks(node, sender string) bool {
	l, known := of[node]
	return known && l.Lack(sender) != ""
}

// why says why there is no span of something that went on between two times, which are zero if they are not known.
func (of listening) why(node, sender, what string, from, until time.Time) *Missing {
	title := SenderTitle(sender)
	missing := &Missing{
		Source: SourceSpan, Why: "no span of " + title + " about " + what + " is kept",
		Remedy: "podtrail doctor, which checks that the spans of each node arrive",
	}
	l, known := of[node]
	if !known {
		return missing
	}
	found := l.Find(sender)
	title += " on " + node
	const again = "; what is created from now on has them"
	switch lack := l.Lack(sender); {
	case found != nil && !from.IsZero() && from.Before(l.Since) && found.First.Before(l.Since.Add(ExportDelay)):
		missing.Why = "the recorder on " + node + " keeps spans since " + clock(l.Since) + " only"
		missing.Remedy = "podtrail sources, which shows if older ones were dropped" + again
	case lack != "":
		missing.Why = title + " " + lack
		missing.Remedy = "podtrail doctor, which says how to mend that" + again
	case !until.IsZero() && l.Now.Sub(until) < ExportDelay:
		missing.Why = "the spans of " + title + " about " + what + " are still to come: exporters send every 5 s"
		missing.Remedy, missing.Soon = "ask again in a few seconds", true
	case !until.IsZero() && until.Before(found.First):
		missing.Why = "the first span of " + title + " came at " + clock(found.First) + ", after " + what
		missing.Remedy = "none is needed: its exporter had yet to connect" + again
	default:
		missing.Why = "no span of " + title + " about " + what + " is kept, although others of it are"
		missing.Remedy = "podtrail sources, which shows if spans were dropped"
	}
	return missing
}
