// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// staleSkips mirrors upstream's replicaset_controller_stale_sync_skips_total.
var staleSkips = prometheus.NewCounter(prometheus.CounterOpts{
	Name: "podtrail_controller_stale_skips_total",
	Help: "Reconciles that were skipped because the cache did not show this controller's own writes yet.",
})

// podWrites counts the controller's writes to Pods. A repeated write is one whose work was already done: by an earlier
// attempt whose answer was lost, by another replica of the manager, or by another client.
var podWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "podtrail_controller_pod_writes_total",
	Help: "Writes to Pods by the TeachingReplicaSet controller. action is create, delete, adopt or release; " +
		"result is done, repeated (the Pod already existed, or was already gone) or failed.",
}, []string{"action", "result"})

// The values of podWrites' labels.
const (
	writeCreate, writeDelete, writeAdopt, writeRelease = "create", "delete", "adopt", "release"
	writeDone, writeRepeated, writeFailed              = "done", "repeated", "failed"
)

func init() { metrics.Registry.MustRegister(staleSkips, podWrites) }
