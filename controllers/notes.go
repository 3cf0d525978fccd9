// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"go.opentelemetry.io/otel/attribute"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/controllers/tracing"
	"podtrail.dev/podtrail/telemetry/names"
)

// The events that trigger a pass, as its span names them.
const (
	eventAdded   = "Added"
	eventUpdated = "Updated"
	eventDeleted = "Deleted"
)

// noteVersions notes how far the caches have come, and which writes for the object of that name they have not yet
// shown. It must be called before CaughtUp, which forgets the writes that they have.
func (r *Reconciler) noteVersions(pass *tracing.Pass, name types.NamespacedName) {
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

// noteStale notes that a pass was skipped because a cache is stale.
func noteStale(pass *tracing.Pass, stale *expectations.Stale) {
	pass.Note(func() []attribute.KeyValue { return []attribute.KeyValue{attribute.String(names.Stale, stale.Error())} })
}

// noteObserved notes what a pass saw.
func (r *Reconciler) noteObserved(pass *tracing.Pass, owner *podtrailv1alpha1.TeachingReplicaSet, claims *replicas.Claims) {
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
		return append(attributes,
			attribute.Int(names.PodsSeen+"counted", len(claims.Active)),
			attribute.Int(names.PodsSeen+"adopt", len(claims.Adopt)),
			attribute.Int(names.PodsSeen+"release", len(claims.Release)),
			attribute.Int(names.PodsSeen+"terminating", len(claims.Terminating)),
			attribute.Int(names.PodsSeen+"finished", len(claims.Finished)))
	})
}

// notePlan notes what a pass decided.
func notePlan(pass *tracing.Pass, plan replicas.Plan) {
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
				pods, rules = append(pods, deletion.Pod.Name), append(rules, deletion.Rule.String())
			}
			attributes = append(attributes, attribute.StringSlice(names.PlanDelete, pods),
				attribute.StringSlice(names.PlanDeleteRules, rules))
		}
		return attributes
	})
}

// noteTrigger notes that an event about obj causes a pass over owner.
func (w *watcher) noteTrigger(owner client.Object, event, kind string, obj client.Object) {
	w.tracer.Trigger(client.ObjectKeyFromObject(owner), func() tracing.Trigger {
		return tracing.Trigger{Event: event, Kind: kind, Name: obj.GetName(), ResourceVersion: obj.GetResourceVersion()}
	})
}
