#!/usr/bin/env bash
# Removes what podtrail keeps between runs: built components, images, the data of its own Docker daemon.
. "$(dirname "$0")/lib/common.sh"
. "$ROOT/hack/lib/packages.sh"
. "$ROOT/hack/lib/docker.sh"

if [ -n "$(ls -A "$CACHE/clusters" 2>/dev/null)" ]; then
	die "these clusters still need the cache: $(ls "$CACHE/clusters" | tr '\n' ' '). Remove each first: make cluster-down CLUSTER_NAME=NAME"
fi
stop_own_docker
if docker_answers; then
	docker images --quiet --filter 'reference=podtrail/*' | sort -u | while read -r image; do docker rmi --force "$image" >/dev/null; done
fi
rm -rf "$CACHE"
say "removed $CACHE"
