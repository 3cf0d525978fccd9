#!/usr/bin/env bash
# Starts the cluster's registry and pushes the images of podtrail's parts to it, while kind makes the nodes: as soon as
# the network exists that both are on.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker container-images cluster registry programs images; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
use_running_docker || die "no Docker daemon runs. Next: make cluster-up"

SERIES=registry
PARTS=3
part "network of the nodes" wait_for 60 "kind to make its network" docker network inspect kind
part "registry" start_registry
part "images in the registry" push_images
