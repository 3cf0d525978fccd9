#!/usr/bin/env bash
# Builds a kind node image of KUBERNETES_VERSION from Go modules and Debian packages, for machines where
# no image registry can be reached. Every part is cached by content; prints the image's reference on the last line.
# docs/decisions/0002-node-image.md tells why each part is as it is.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster rootfs container-images preconditions node-image; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

# Docker's store first: what root has built before, another user takes without root.
if use_running_docker; then
	reference=$(node_image_reference)
	if docker_has "$reference"; then
		say "node image $reference is in Docker's store already"
		exit 0
	fi
fi
if ! command -v apt-get >/dev/null; then
	die "a node image is built from Debian's packages, on Debian or Ubuntu only. Next: NODE_IMAGE=pull, or load one that was built there: docker load"
fi
[ "$(id -u)" = 0 ] || die "a node image is built as root, because its root filesystem holds other users' files. Next, once: sudo env \"PATH=\$PATH\" hack/build-node-image.sh; after that your user takes it from Docker's store"
require_disk_for_build
install_packages mmdebstrap=mmdebstrap gcc=gcc strip=binutils pkg-config=pkg-config
pkg-config --exists libseccomp || install_packages '=libseccomp-dev' '=libc6-dev'
connect_docker
reference=$(node_image_reference)
if docker_has "$reference"; then
	say "node image $reference is in Docker's store already"
	exit 0
fi

PARTS=13
say "building node image $reference in $PARTS parts (about 10 minutes with 2 cores and nothing cached)"
part "Debian $DEBIAN_RELEASE packages" build_packages
# shellcheck disable=SC2086
{
	part "Kubernetes: $(echo "$KUBERNETES_COMPONENTS" | wc -w | tr -d ' ') programs" build_components $KUBERNETES_COMPONENTS
	part "containerd: $(echo "$CONTAINERD_COMPONENTS" | wc -w | tr -d ' ') programs" build_components $CONTAINERD_COMPONENTS
	part "CNI: $(echo "$CNI_COMPONENTS" | wc -w | tr -d ' ') plugins" build_components $CNI_COMPONENTS
}
for name in runc etcd coredns local-path-provisioner; do
	part "$name" build_component "$name"
done
part "pause" build_pause
part "container images" build_container_images
part "root filesystem" build_rootfs
part "base image" import_base "$reference"
part "node image with its containers" commit_node_image "$reference"
say "$reference"
