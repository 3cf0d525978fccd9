# shellcheck shell=bash
# The container images inside a node image: static Pods, DNS, proxy, pause, under the names that kubeadm asks for.

# build_image ARGS… runs hack/build-image for the nodes' architecture; file arguments must be absolute paths.
build_image() {
	local arch
	arch=$(node_arch)
	(cd "$ROOT/hack/build-image" && GOWORK=off GOOS='' GOARCH='' go run . -arch "$arch" "$@")
}

container_images_dir() {
	echo "$CACHE/images/node-$({
		for name in $GO_COMPONENTS; do component_path "$name"; done
		packages_path
		pause_path
		cat "$ROOT/hack/lib/container-images.sh" "$ROOT/hack/build-image/"*.go
	} | hash_of)"
}

build_container_images() {
	local out name work
	out=$(container_images_dir)
	if [ -d "$out" ]; then
		cached
		return
	fi
	rm -rf "$CACHE"/images/node-*
	work=$out.part.$$
	mkdir -p "$work"
	for name in kube-apiserver kube-controller-manager kube-scheduler; do
		node_archive "$work" "$name:$KUBERNETES_VERSION" "/usr/local/bin/$name" "$(component_path "$name")=/usr/local/bin/$name"
	done
	node_archive "$work" "etcd:$ETCD_IMAGE_VERSION" /usr/local/bin/etcd "$(component_path etcd)=/usr/local/bin/etcd"
	node_archive "$work" "coredns/coredns:$COREDNS_VERSION" /coredns "$(component_path coredns)=/coredns"
	node_archive "$work" "pause:$PAUSE_VERSION" /pause "$(pause_path)=/pause"
	network_tools "$work/network-tools"
	node_archive "$work" "kube-proxy:$KUBERNETES_VERSION" /usr/local/bin/kube-proxy \
		"$(component_path kube-proxy)=/usr/local/bin/kube-proxy" "$work/network-tools=/"
	rm -rf "$work/network-tools"
	mv "$work" "$out"
}

# node_archive FOLDER NAME:TAG ENTRYPOINT SOURCE=TARGET… writes one image as an archive into the folder.
node_archive() {
	local folder=$1 image=$2 entrypoint=$3
	shift 3
	build_image -tag "registry.k8s.io/$image" -user 0:0 -entrypoint "$entrypoint" \
		-output "$folder/$(echo "$image" | tr '/:' '__').tar" "$@"
}

# network_tools FOLDER fills the folder with nft and conntrack and the libraries they load: kube-proxy runs them.
network_tools() {
	local folder=$1 tree file
	tree=$(mktemp -d "$CACHE/images/tree.XXXXXX")
	tar -xf "$(packages_path)" -C "$tree" --exclude='./dev/*'
	for file in /usr/sbin/nft /usr/sbin/conntrack; do
		echo "$file"
		chroot "$tree" ldd "$file" | grep -o '/[^ ]*'
	done | sort -u | while read -r file; do
		install -D -m 0755 "$tree$(chroot "$tree" readlink -f "$file")" "$folder$file"
	done
	rm -rf "$tree"
}

# node_image_reference prints the name under which Docker keeps the node image of exactly these parts.
node_image_reference() {
	echo "podtrail/node:$KUBERNETES_VERSION-$({
		rootfs_path
		container_images_dir
		cat "$ROOT/hack/lib/container-images.sh" "$ROOT/hack/node-image/Dockerfile"
	} | hash_of)"
}

import_base() {
	# From the standard input: a Docker from snap may not read the cache's folder.
	docker import - "$1-base" <"$(rootfs_path)"
}

# commit_node_image REFERENCE loads the containers into the base image with its own containerd, as kind's build does.
commit_node_image() {
	local reference=$1 container
	container=$(docker run --detach --network none --security-opt seccomp=unconfined --entrypoint sleep "$reference-base" infinity)
	# shellcheck disable=SC2064
	trap "docker rm --force --volumes '$container' >/dev/null" EXIT
	docker exec --detach "$container" containerd --log-level warn
	wait_for 30 "containerd in the node image" docker exec "$container" ctr version
	local archive
	for archive in "$(container_images_dir)"/*.tar; do
		docker exec --interactive "$container" ctr --namespace k8s.io images import \
			--label=io.cri-containerd.pinned=pinned --all-platforms --no-unpack --digests - <"$archive"
	done
	docker exec "$container" pkill containerd
	docker commit "$container" "$reference-loaded"
	docker rm --force --volumes "$container"
	trap - EXIT
	docker build --build-arg BASE="$reference-loaded" --tag "$reference" - <"$ROOT/hack/node-image/Dockerfile"
	docker rmi "$reference-loaded" "$reference-base"
	# Only the newest is worth its disk space; one that a cluster uses stays.
	docker images --filter 'reference=podtrail/node' --format '{{.Repository}}:{{.Tag}}' | awk -v new="$reference" '$0 != new' |
		while read -r old; do docker rmi "$old" || true; done
}
