#!/usr/bin/env bash
# Builds the images of podtrail's parts and pushes them to the cluster's registry, tagged dev.
# Their digests go to bin/images/NAME.digest.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components container-images docker cluster programs images; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
require_cluster

PARTS=1
part "images in the registry" push_images
