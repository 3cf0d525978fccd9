#!/usr/bin/env bash
# Removes what podtrail keeps between runs: built components, images, the data of its own Docker daemon.
. "$(dirname "$0")/lib/common.sh"
. "$ROOT/hack/lib/packages.sh"
. "$ROOT/hack/lib/docker.sh"

clusters=''
for folder in "$CACHE"/clusters/*/; do
	[ ! -d "$folder" ] || clusters="$clusters $(basename "$folder")"
done
if [ -n "$clusters" ]; then
	die "these clusters still need the cache:$clusters. Remove each first: make cluster-down CLUSTER_NAME=NAME"
fi
stop_own_docker
if own_docker_runs; then
	die "podtrail's Docker daemon still has containers, and its data is in the cache: docker --host unix://$OWN_DOCKER_SOCKET ps --all"
fi
if docker_answers; then
	docker images --quiet --filter 'reference=podtrail/*' | sort -u | while read -r image; do docker rmi --force "$image" >/dev/null; done
fi
# Only what podtrail made: PODTRAIL_CACHE may name a folder that holds other things as well.
for folder in bench clusters components docker envtest images lint logs rootfs; do
	# Downloaded test control planes are read-only.
	[ ! -d "$CACHE/envtest" ] || chmod -R u+w "$CACHE/envtest"
	rm -rf "${CACHE:?}/$folder"
done
rmdir "$CACHE" 2>/dev/null || true
if docker_answers && docker image inspect "$KIND_NODE_IMAGE" >/dev/null 2>&1; then
	say "kind's node image stays, other clusters may use it: docker rmi $KIND_NODE_IMAGE"
fi
say "removed podtrail's caches in $CACHE"
