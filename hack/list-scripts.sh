#!/usr/bin/env bash
# Prints every shell script of the repository, tracked or new.
. "$(dirname "$0")/lib/common.sh"
tracked_files -- '*.sh' .ci/run hack/lib/runc-without-sys-resource hack/node-image/rootfs/podtrail-routes test/scripts/testdata/docker
