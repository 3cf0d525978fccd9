// SPDX-License-Identifier: Apache-2.0

// Package simulator tests the TeachingReplicaSet controller by deterministic simulation: the real Reconciler, its
// watch handlers and its expectations run against a model API server, and a seeded scheduler decides after every
// step what happens next. Caches lag per object, replies get lost before or after the commit, instances crash
// between two writes, two of them act at once. Invariants are checked after each step against the server's history.
package simulator
