#!/usr/bin/env bash
# Removes the cluster, its registry, its network, its files and podtrail's own Docker daemon; caches stay
# (make clean-cache takes those). Succeeds when there is nothing to remove.
. "$(dirname "$0")/lib/common.sh"
. "$ROOT/hack/lib/packages.sh"
. "$ROOT/hack/lib/docker.sh"
. "$ROOT/hack/lib/cluster.sh"

if ! use_running_docker; then
	if [ -d "$STATE" ] && [ -d "$OWN_DOCKER_DATA" ] && can_install_packages; then
		# After a reboot, say: the cluster's containers are in the data of our own daemon, which does not run.
		connect_docker
	elif [ -d "$STATE" ]; then
		die "the cluster $CLUSTER_NAME cannot be removed while no Docker daemon answers: start Docker, then repeat"
	fi
	[ -d "$STATE" ] || {
		say "no cluster $CLUSTER_NAME here"
		exit 0
	}
fi
if [ -z "$(cluster_nodes)" ] && [ ! -d "$STATE" ]; then
	say "no cluster $CLUSTER_NAME here"
else
	[ -d "$STATE" ] || die "the kind cluster $CLUSTER_NAME was not made by podtrail: kind delete cluster --name $CLUSTER_NAME"
	kind delete cluster --name "$CLUSTER_NAME" --kubeconfig "$CLUSTER_KUBECONFIG"
	docker rm --force --volumes "$REGISTRY_CONTAINER" >/dev/null 2>&1 || true
	if [ -f "$STATE/made-network" ]; then
		# Fails while another kind cluster uses the network, which then stays.
		docker network rm kind >/dev/null 2>&1 || true
	fi
	rm -rf "$STATE" "$CLUSTER_KUBECONFIG"
	say "removed the cluster $CLUSTER_NAME"
fi
[ "${1:-}" = --keep-docker ] || stop_own_docker
