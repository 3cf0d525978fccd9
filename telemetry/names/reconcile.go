// SPDX-License-Identifier: Apache-2.0

package names

// ReconcileSpan is the name of the span of one reconcile: one pass of a controller over one object. Spans of requests
// that the pass sent are inside of it; they carry AuditID, Method, Path, Status and, if they are about one Pod,
// RequestPod.
const ReconcileSpan = "Reconcile"

// Attributes of a ReconcileSpan. A number or a list that is empty may be missing.
const (
	// Controller is the controller's name; the other three are the object's. The UID and the generation are missing if
	// the pass did not come to read it.
	Controller      = "podtrail.controller"
	OwnerName       = "podtrail.owner.name"
	OwnerUID        = "podtrail.owner.uid"
	OwnerGeneration = "podtrail.owner.generation"

	// MoreTriggers is how many events asked for the pass beside those that the EventTrigger events name.
	MoreTriggers = "podtrail.triggers.more"
	// QueueSeconds is how long the first of them waited for the pass.
	QueueSeconds = "podtrail.queue.seconds"

	// CachePods and CacheOwners are the newest resourceVersion that each cache had seen, WrittenPods and WrittenOwners
	// the newest that the controller had written for the object and not yet found in the cache; missing if there is none.
	CachePods     = "podtrail.cache.pods.resource_version"
	CacheOwners   = "podtrail.cache.owners.resource_version"
	WrittenPods   = "podtrail.written.pods.resource_version"
	WrittenOwners = "podtrail.written.owners.resource_version"
	// Stale says which cache lags behind which write; the pass was then put off.
	Stale = "podtrail.stale"
	// ExpectedCreations (names) and ExpectedDeletions (UIDs) are writes that the watch has yet to show.
	ExpectedCreations = "podtrail.expected.creations"
	ExpectedDeletions = "podtrail.expected.deletions"

	// PodsSeen begins the attributes that count the Pods by what they are to the object; the verdict follows, in lower
	// case: podtrail.pods.counted.
	PodsSeen = "podtrail.pods."

	// PlanHold is why the pass neither created nor deleted, PlanDesired and PlanCurrent are what it compared.
	PlanHold    = "podtrail.plan.hold"
	PlanDesired = "podtrail.plan.desired"
	PlanCurrent = "podtrail.plan.current"
	// PlanCreate holds the names of the Pods to make, in the order of their creation; PlanBatches says how many were to
	// be made at the same time, batch by batch.
	PlanCreate  = "podtrail.plan.create"
	PlanBatches = "podtrail.plan.batches"
	// PlanDelete holds the names of the Pods to delete, PlanDeleteRules the rule that chose each.
	PlanDelete      = "podtrail.plan.delete"
	PlanDeleteRules = "podtrail.plan.delete.rules"

	// RequeueSeconds is in how long another pass was asked for.
	RequeueSeconds = "podtrail.requeue.seconds"
	// RequestPod is the name of the Pod that a request is about.
	RequestPod = "podtrail.request.pod"
)

// EventTrigger is the name of the span events that say what asked for the pass. Each carries what happened (Added,
// Updated, Deleted), to which object, and which version of it.
const (
	EventTrigger           = "trigger"
	TriggerEvent           = "podtrail.trigger.event"
	TriggerKind            = "podtrail.trigger.kind"
	TriggerName            = "podtrail.trigger.name"
	TriggerResourceVersion = "podtrail.trigger.resource_version"
)
