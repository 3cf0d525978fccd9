#!/usr/bin/env bash
# Measures what admission adds to the creation of a Pod (nothing of ours, our webhooks, their twins in CEL) on one API
# server and etcd, and prints Markdown tables. About 7 minutes; a short run: hack/bench-admission.sh -rounds 1
# Flags: hack/bench-admission.sh -help
. "$(dirname "$0")/lib/common.sh"
require_linux "the measurement of processor time"

programs=$CACHE/bench
mkdir -p "$programs"
(cd "$ROOT" && GOWORK=off go build -o "$programs/manager" ./cmd/manager) || exit 1
(cd "$ROOT/test/upstream" && GOWORK=off go build -o "$programs/bench-admission" ./bench/admission) || exit 1
assets=$("$ROOT/hack/install-envtest.sh")
# In place of this shell, so that Ctrl-C and a signal reach it directly: it ends what it started.
exec "$programs/bench-admission" -manager "$programs/manager" -assets "$assets" -config "$ROOT/config" "$@"
