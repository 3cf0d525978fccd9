#!/usr/bin/env bash
# Runs while kind makes the nodes: starts the cluster's registry as soon as the network exists that both are on, pushes the
# images of podtrail's parts to it and, with DEPLOY=early, applies the parts as soon as the API server answers.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker container-images cluster registry programs images parts; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
use_running_docker || die "no Docker daemon runs. Next: make cluster-up"

SERIES=registry
PARTS=3
[ "${DEPLOY:-}" != early ] || PARTS=4
part "network of the nodes" wait_for 60 "kind to make its network" docker network inspect kind
part "registry" start_registry
part "images in the registry" push_images
[ "${DEPLOY:-}" != early ] || part "apply config/default" apply_parts_early
