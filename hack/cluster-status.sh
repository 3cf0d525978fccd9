#!/usr/bin/env bash
# Says whether the cluster is up, what its nodes and podtrail's parts are, or what is wrong. Exit 1 if it is not up.
. "$(dirname "$0")/lib/common.sh"
. "$ROOT/hack/lib/packages.sh"
. "$ROOT/hack/lib/components.sh"
. "$ROOT/hack/lib/docker.sh"
. "$ROOT/hack/lib/cluster.sh"

if ! use_running_docker; then
	say "the cluster $CLUSTER_NAME is not up: no Docker daemon runs. Next: make cluster-up"
	exit 1
fi
[ -x "$BIN/kubectl" ] || install_kubectl 3>/dev/null
trouble=$(cluster_problem)
if [ -n "$trouble" ]; then
	say "the cluster $CLUSTER_NAME is not up: $trouble. Next: make cluster-up"
	exit 1
fi
say "the cluster $CLUSTER_NAME is up; use it in a shell in this folder: eval \"\$(make -s env$(cluster_argument))\""
kubectl get nodes -L topology.kubernetes.io/zone
kubectl get pods -n podtrail-system -o wide
