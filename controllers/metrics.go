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

func init() { metrics.Registry.MustRegister(staleSkips) }
