// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/controllers/records"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/telemetry/names"
)

// The events that trigger a pass, as the records name them.
const (
	eventAdded   = "Added"
	eventUpdated = "Updated"
	eventDeleted = "Deleted"
)

// noteVersions records how far the caches are, and what was written for the object of that name and not yet seen in
// them. To be called before CaughtUp, which forgets what has been seen.
func (r *Reconciler) noteVersions(pass *records.Pass, name types.NamespacedName) {
	pass.Note(func() []attribute.KeyValue {
		attributes := []attribute.KeyValue{
			attribute.String(names.CachePods, r.view.resourceVersion(resourcePods)),
			attribute.String(names.CacheOwners, r.view.resourceVersion(resourceOwners)),
		}
		for resource, key := range map[expectations.Resource]string{
			resourcePods: names.WrittenPods, resourceOwners: names.WrittenOwners,
		} {
			if written := r.expectations.Written(name, resource); written != "" {
				attributes = append(attributes, attribute.String(key, written))
			}
		}
		return attributes
	})
}

// noteStale records that a pass was put off.
func noteStale(pass *records.Pass, stale error) {
	pass.Note(func() []attribute.KeyValue { return []attribute.KeyValue{attribute.String(names.Stale, stale.Error())} })
}

// noteObserved records what a pass saw.
func (r *Reconciler) noteObserved(pass *records.Pass, owner *podtrailv1alpha1.TeachingReplicaSet, claims replicas.Claims) {
	pass.Note(func() []attribute.KeyValue {
		attributes := []attribute.KeyValue{
			attribute.String(names.OwnerUID, string(owner.UID)), attribute.Int64(names.OwnerGeneration, owner.Generation),
		}
		creations, deletions := r.expectations.Waiting(identity(owner))
		if len(creations) > 0 {
			attributes = append(attributes, attribute.StringSlice(names.ExpectedCreations, creations))
		}
		if len(deletions) > 0 {
			uids := make([]string, 0, len(deletions))
			for _, uid := range deletions {
				uids = append(uids, string(uid))
			}
			attributes = append(attributes, attribute.StringSlice(names.ExpectedDeletions, uids))
		}
		for verdict, pods := range claims {
			if verdict != replicas.Ignored {
				attributes = append(attributes, attribute.Int(names.PodsSeen+strings.ToLower(string(verdict)), len(pods)))
			}
		}
		return attributes
	})
}

// notePlan records what a pass decided.
func notePlan(pass *records.Pass, plan replicas.Plan) {
	pass.Note(func() []attribute.KeyValue {
		attributes := []attribute.KeyValue{
			attribute.Int(names.PlanDesired, plan.Desired), attribute.Int(names.PlanCurrent, plan.Current),
		}
		if plan.Hold != "" {
			attributes = append(attributes, attribute.String(names.PlanHold, string(plan.Hold)))
		}
		if len(plan.Create) > 0 {
			attributes = append(attributes, attribute.StringSlice(names.PlanCreate, plan.Create),
				attribute.IntSlice(names.PlanBatches, batches(len(plan.Create))))
		}
		if len(plan.Delete) > 0 {
			pods, rules := make([]string, 0, len(plan.Delete)), make([]string, 0, len(plan.Delete))
			for _, deletion := range plan.Delete {
				pods, rules = append(pods, deletion.Pod.Name), append(rules, string(deletion.Rule))
			}
			attributes = append(attributes, attribute.StringSlice(names.PlanDelete, pods),
				attribute.StringSlice(names.PlanDeleteRules, rules))
		}
		return attributes
	})
}

// noteTrigger records that an event about obj asks for a pass over owner.
func (w *watcher) noteTrigger(owner client.Object, event, kind string, obj client.Object) {
	w.records.Trigger(client.ObjectKeyFromObject(owner), func() records.Trigger {
		return records.Trigger{Event: event, Kind: kind, Name: obj.GetName(), ResourceVersion: obj.GetResourceVersion()}
	})
}
