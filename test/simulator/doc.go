// SPDX-License-Identifier: Apache-2.0

// Package simulator tests the TeachingReplicaSet controller by deterministic simulation, as FoundationDB is tested.
// `go test ./test/simulator` takes 100,000 steps; `-simulator.steps=1000000` takes as many as you like, and
// `-run '^TestSimulator$' -v -simulator.seed=N` replays one seed and prints its steps. A failure prints the seed, the
// last steps and the command that replays it.
//
// # What is real
//
// All of package controllers from SetupWithManager on, with controllers/replicas and controllers/expectations;
// controller-runtime's controller, source.Kind, event handlers and worker; client-go's workqueue and rate limiters; the
// API server's strategic merge. Nothing of the reconciler is mirrored. Each run is a testing/synctest bubble, so that
// the clock is simulated and every goroutine stands still until the scheduler lets one go on.
//
// # What is modelled
//
//   - The API server and etcd (server_test.go): UIDs, resourceVersions, one history, watches, graceful deletion,
//     finalizers, UID preconditions, AlreadyExists, Conflict, Invalid, quota, a namespace that is being deleted.
//   - The informers (cache_test.go): the store is fed event by event, the handlers hear of it at once or later, a watch
//     is cut and listed again as of any later version, with tombstones and with updates that change the UID. Pods pass
//     through CacheByObject's transform. Lists come in a random order.
//   - The manager (manager_test.go): SetupWithManager asks it for a client, a cache, a logger, an event recorder. One
//     worker, and client-go's queue instead of controller-runtime's priority queue, whose tickers are never stopped.
//   - Users, kubelets, the garbage collector (actors_test.go).
//
// # What a step is
//
// The scheduler (world_test.go, faults_test.go) picks by the seed: an event reaches a store, or a handler; a pass that
// waits begins, or goes on at one of its requests or, now and then, before a read of its cache; a kubelet, a user or the
// garbage collector acts; time passes; a watch is cut, a list made, a process crashes. A request is carried out, refused
// before it is, or carried out and its answer lost. After a crash each request under way arrives or not. Who leads
// depends on the seed: one process that comes back with fresh caches, a standby with caches that lag, or two at once.
//
// The watch of one resource keeps its order, as that of every API server does, so Pods do not overtake each other, but
// Pods and owners do, and one process the other. In one run of ten Pods do overtake each other; there only the two
// invariants about numbers are left out, because a controller that learns of the end of one Pod before the beginning of
// an earlier one can't know better.
//
// # The invariants
//
// They are checked after each step, with the server's whole history at hand (oracle_test.go, writes_test.go):
//
//   - Never more Pods than asked for. What counts: the active Pods that an owner controls by UID and selects. After
//     each creation they are at most the highest spec.replicas since the owner's version in the creator's cache. Pods
//     that came to count otherwise since the creator's view, by adoption or a changed label, raise the bound; those that
//     the creator's own pass adopted do not. Scaling down and adoption do not violate it by themselves, a creation
//     does. One excuse, counted and printed: the Pods were created by two processes and a name of the owner has become
//     free since the older of their views, or since the view of a pass whose answer was lost (docs/decisions/0004).
//   - Never delete below what is asked for, beyond what others took away since the deleter's view.
//   - A deletion or patch hits the very Pod, by UID, that the pass saw, and the owner controlled it, or nobody did and the
//     pass adopted it. A patch never changes a Pod that another UID controls.
//   - Nothing is created for an owner whose deletion the pass had seen, or adopted for one that was deleted before the
//     pass began. A paused owner's Pods are not touched.
//   - A new Pod names its owner by UID, matches its selector and is controlled by nothing else.
//   - The status is a pass's last write; observedGeneration does not go back within one process's writes, nor ahead.
//   - An event about a created Pod is true.
//   - Without faults (finish_test.go) Pods, claims, status and conditions become what is asked for, within the longest
//     back-off; then nothing is written in six minutes; then one change at a time, seen or missed by the watch, leads
//     there again; and when all owners are deleted nothing is left of them in the expectations.
//
// mutants_test.go puts errors in where the controller meets its client, its cache and its watch, and fails unless an
// invariant catches each.
package simulator
