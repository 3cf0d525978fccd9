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
if docker_answers; then
	docker images --quiet --filter 'reference=podtrail/*' | sort -u | while read -r image; do docker rmi --force "$image" >/dev/null; done
fi
rm -rf "$CACHE"
say "removed $CACHE"
