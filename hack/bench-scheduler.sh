#!/usr/bin/env bash
# Measures schedulers beside each other on one API server and etcd with nodes that are objects only, and prints
# Markdown tables: upstream's kube-scheduler, and this project's with and without its plugins. About half an hour with
# the default flags; a short run: hack/bench-scheduler.sh -rounds 1 -cells 1000      Flags: hack/bench-scheduler.sh -help
. "$(dirname "$0")/lib/common.sh"
require_linux "the measurement of processor time"

programs=$CACHE/bench
mkdir -p "$programs"
say "Building the schedulers (they compile a part of Kubernetes if nothing is cached)" >&2
(cd "$ROOT/scheduler-plugin" && GOWORK=off go build -o "$programs/upstream" k8s.io/kubernetes/cmd/kube-scheduler &&
	GOWORK=off go build -o "$programs/scheduler" ./cmd/scheduler &&
	GOWORK=off go build -o "$programs/unsigned" ./bench/unsigned) || exit 1
(cd "$ROOT/test/upstream" && GOWORK=off go build -o "$programs/bench-scheduler" ./bench/scheduler) || exit 1
assets=$("$ROOT/hack/install-envtest.sh")
# In place of this shell, so that Ctrl-C and a signal reach it directly: it ends what it started.
exec "$programs/bench-scheduler" -programs "$programs" -assets "$assets" -crds "$ROOT/config/crd/bases" "$@"
