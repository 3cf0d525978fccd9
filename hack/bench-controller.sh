#!/usr/bin/env bash
# Measures the TeachingReplicaSet controller beside upstream's ReplicaSet controller on one API server and etcd, and
# prints Markdown tables. About an hour with the default flags, most of it upstream at its stock limit; a short run:
# hack/bench-controller.sh -rounds 1 -cells 100,500        Flags: hack/bench-controller.sh -help
. "$(dirname "$0")/lib/common.sh"
require_linux "the measurement of processor time"

programs=$CACHE/bench
mkdir -p "$programs"
say "Building the controllers (upstream's compiles a part of Kubernetes if nothing is cached)" >&2
(cd "$ROOT" && GOWORK=off go build -o "$programs/manager" ./cmd/manager) || exit 1
(cd "$ROOT/test/upstream" && GOWORK=off go build -o "$programs/bench" ./bench &&
	GOWORK=off go build -o "$programs/replicaset" ./bench/replicaset) || exit 1
assets=$("$ROOT/hack/install-envtest.sh")
# In place of this shell, so that Ctrl-C and a signal reach it directly: it ends what it started.
exec "$programs/bench" -manager "$programs/manager" -upstream "$programs/replicaset" \
	-assets "$assets" -crds "$ROOT/config/crd/bases" "$@"
