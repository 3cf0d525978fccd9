// SPDX-License-Identifier: Apache-2.0

package trail

import "slices"

// What is said where a source has nothing. The remedies name the commands of the project.
var (
	missingAudit = Missing{
		Source: SourceAudit,
		Why:    "no audit event that names the request that created it",
		Remedy: "the recorder keeps events and spans from its start on (make deploy); of a generated name, only audit level " +
			"RequestResponse or the API server's spans tell; then create the object again",
	}
	missingReconcile = Missing{
		Source: SourceAudit,
		Why:    "no write by a controller's service account and no event of one",
		Remedy: "the recorder keeps the audit log from its start on: make deploy; events last one hour",
	}
	missingSchedule = Missing{
		Source: SourceAudit,
		Why:    "no Binding and no verdict yet",
		Remedy: "see that the scheduler which the Pod's spec.schedulerName names is running: kubectl get pods -A",
	}
	missingRun = Missing{
		Source: SourceObject,
		Why:    "no status from a kubelet",
		Remedy: "kubectl describe node of the Pod's node: its kubelet may be down",
	}
)

// controllersOf are the kinds whose objects a controller acts for.
var controllersOf = []string{"Deployment", "ReplicaSet", "TeachingReplicaSet"}

// addMissing says for every stage that the object must have gone through and that has no evidence, which source is
// missing. Stages after the one that failed were not reached and are not missing.
func (o *Object) addMissing() {
	last := Persist
	if failed := o.Created.Failed(); failed != nil {
		last = failed.Stage
	}
	for stage := Submit; stage <= last; stage++ {
		o.Created.Stages = require(o.Created.Stages, stage, missingAudit)
	}
	if o.Refused() {
		return
	}
	if slices.Contains(controllersOf, o.Subject.Kind) && !o.wantsNone() {
		o.Stages = require(o.Stages, Reconcile, missingReconcile)
	}
	if o.Subject.Kind != "Pod" || !o.known() {
		return
	}
	missing := missingSchedule
	if o.State != nil && o.State.Scheduler != "" {
		missing.Why += " from " + o.State.Scheduler
	}
	o.Stages = require(o.Stages, Schedule, missing)
	if o.State != nil && o.State.Node != "" {
		o.Stages = require(o.Stages, Run, missingRun)
	}
}

// known says that there is evidence of the object itself, not only of others that name it as their owner.
func (o *Object) known() bool { return o.Created.Seen() || o.State != nil || len(o.Writes) > 0 }

func (o *Object) wantsNone() bool {
	return o.State != nil && o.State.Desired != nil && *o.State.Desired == 0
}

// require adds an entry that names the missing source if the stage has none.
func require(in []Entry, stage Stage, missing Missing) []Entry {
	at, found := slices.BinarySearchFunc(in, stage, func(e Entry, s Stage) int { return int(e.Stage) - int(s) })
	if found {
		return in
	}
	return slices.Insert(in, at, Entry{Stage: stage, Missing: &missing})
}
