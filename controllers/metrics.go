// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// staleSkips mirrors upstream's replicaset_controller_stale_sync_skips_total.
var staleSkips = prometheus.NewCounter(prometheus.CounterOpts{
	Name: "podtrail_controller_stale_skips_total",
	Help: "Reconciles that were put off because the cache had not yet seen what this controller itself had written.",
})

// podWrites counts what the controller did to Pods. A repeated write found its work done: by an earlier try whose
// answer was lost, by another replica of the manager, or by somebody else.
var podWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "podtrail_controller_pod_writes_total",
	Help: "Pods that the TeachingReplicaSet controller wrote to. action is create, delete, adopt or release; " +
		"result is done, repeated (the Pod was already there, or already gone) or failed.",
}, []string{"action", "result"})

// The values of podWrites' labels.
const (
	writeCreate, writeDelete, writeAdopt, writeRelease = "create", "delete", "adopt", "release"
	writeDone, writeRepeated, writeFailed              = "done", "repeated", "failed"
)

func init() { metrics.Registry.MustRegister(staleSkips, podWrites) }
