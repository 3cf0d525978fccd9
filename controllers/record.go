// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/records"
	"podtrail.dev/podtrail/controllers/replicas"
)

// The events that trigger a pass, as the records name them.
const (
	eventAdded   = "Added"
	eventUpdated = "Updated"
	eventDeleted = "Deleted"
)

// noteStale records that a pass was put off.
func (r *Reconciler) noteStale(pass *records.Pass, stale error) {
	pass.Note(func(record *records.Record) {
		record.Waiting.Stale = stale.Error()
		record.Waiting.Cache = r.cacheVersions()
	})
}

// noteObserved records what a pass saw.
func (r *Reconciler) noteObserved(pass *records.Pass, owner *podtrailv1alpha1.TeachingReplicaSet, claims replicas.Claims) {
	pass.Note(func(record *records.Record) {
		record.UID, record.Generation = string(owner.UID), owner.Generation
		creations, deletions := r.expectations.Waiting(identity(owner))
		record.Waiting.Creations = creations
		for _, uid := range deletions {
			record.Waiting.Deletions = append(record.Waiting.Deletions, string(uid))
		}
		record.Waiting.Cache = r.cacheVersions()
		record.Verdicts = map[string]string{}
		for verdict, pods := range claims {
			for _, pod := range pods {
				if verdict != replicas.Ignored {
					record.Verdicts[pod.Name] = string(verdict)
				}
			}
		}
	})
}

func (r *Reconciler) cacheVersions() map[string]string {
	return map[string]string{
		string(resourcePods):   r.view.resourceVersion(resourcePods),
		string(resourceOwners): r.view.resourceVersion(resourceOwners),
	}
}

// notePlan records what a pass decided.
func notePlan(pass *records.Pass, plan replicas.Plan) {
	pass.Note(func(record *records.Record) {
		record.Plan = &records.Plan{
			Hold: string(plan.Hold), Desired: plan.Desired, Current: plan.Current, Create: plan.Create,
		}
		for _, deletion := range plan.Delete {
			record.Plan.Delete = append(record.Plan.Delete,
				records.Deletion{Pod: deletion.Pod.Name, Rule: string(deletion.Rule)})
		}
	})
}

// noteTrigger records that an event about obj asks for a pass over owner.
func (w *watcher) noteTrigger(owner client.Object, event, kind string, obj client.Object) {
	w.records.Trigger(client.ObjectKeyFromObject(owner), func() records.Trigger {
		return records.Trigger{Event: event, Kind: kind, Name: obj.GetName(), ResourceVersion: obj.GetResourceVersion()}
	})
}
