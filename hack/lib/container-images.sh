# shellcheck shell=bash
# The container images inside a node image: static Pods, DNS, proxy, pause, under the names that kubeadm asks for, and
# the storage provisioner.

# The programs that kube-proxy runs, in either mode.
PROXY_PROGRAMS="nft conntrack iptables iptables-restore iptables-save ip6tables ip6tables-restore ip6tables-save"
# What the provisioner's helper Pods run, as in kind's own helper image.
STORAGE_HELPER_PROGRAMS="/bin/sh mkdir rm"

# storage_image NAME prints the reference of one of the two images that config/kind/storage.yaml names.
storage_image() {
	case $1 in
	provisioner) echo "docker.io/rancher/local-path-provisioner:$(module_version local-path github.com/rancher/local-path-provisioner)" ;;
	# Docker's own convention for what no registry has.
	helper) echo "localhost/podtrail/local-path-helper:$DEBIAN_RELEASE" ;;
	esac
}

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
		storage_image provisioner
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
	work=$out.part.$$
	mkdir -p "$work"
	for name in kube-apiserver kube-controller-manager kube-scheduler; do
		node_archive "$work" "registry.k8s.io/$name:$KUBERNETES_VERSION" "/usr/local/bin/$name" "$(component_path "$name")=/usr/local/bin/$name"
	done
	node_archive "$work" "registry.k8s.io/etcd:$ETCD_IMAGE_VERSION" /usr/local/bin/etcd "$(component_path etcd)=/usr/local/bin/etcd"
	node_archive "$work" "registry.k8s.io/coredns/coredns:$COREDNS_VERSION" /coredns "$(component_path coredns)=/coredns"
	node_archive "$work" "registry.k8s.io/pause:$PAUSE_VERSION" /pause "$(pause_path)=/pause"
	node_archive "$work" "$(storage_image provisioner)" /usr/local/bin/local-path-provisioner \
		"$(component_path local-path-provisioner)=/usr/local/bin/local-path-provisioner"
	stage_programs "$work/tree" "$work/helper" "$STORAGE_HELPER_PROGRAMS"
	node_archive "$work" "$(storage_image helper)" /bin/sh "$work/helper=/"
	stage_programs "$work/tree" "$work/proxy" "$PROXY_PROGRAMS"
	node_archive "$work" "registry.k8s.io/kube-proxy:$KUBERNETES_VERSION" /usr/local/bin/kube-proxy \
		"$(component_path kube-proxy)=/usr/local/bin/kube-proxy" "$work/proxy=/"
	rm -rf "$work/tree" "$work/helper" "$work/proxy"
	mv "$work" "$out"
	remove_old "$CACHE/images" 'node-*'
}

# node_archive FOLDER REFERENCE ENTRYPOINT SOURCE=TARGET… writes one image as an archive into the folder.
node_archive() {
	local folder=$1 image=$2 entrypoint=$3
	shift 3
	build_image -tag "$image" -user 0:0 -entrypoint "$entrypoint" -output "$folder/$(echo "$image" | tr '/:' '__').tar" "$@"
}

# stage_programs TREE FOLDER PROGRAMS fills the folder with programs of the Debian packages and all that they load: their
# libraries and, for iptables, its extensions. The packages are unpacked in TREE, once for several calls.
stage_programs() {
	local tree=$1 folder=$2 name program file
	if [ ! -d "$tree" ]; then
		mkdir "$tree"
		tar -xf "$(packages_path)" -C "$tree" --exclude='./dev/*'
	fi
	for name in $3; do
		program=$(chroot "$tree" sh -c "command -v $name")
		echo "$program"
		needed_by "$tree" "$program"
		case $name in iptables)
			chroot "$tree" find /usr/lib -path '*/xtables/*.so' | while read -r file; do
				echo "$file"
				needed_by "$tree" "$file"
			done
			;;
		esac
	done | sort -u | while read -r file; do
		install -D -m 0755 "$tree$(chroot "$tree" readlink -f "$file")" "$folder$file"
	done
}

# needed_by TREE FILE prints the libraries that a program or library of the tree loads.
needed_by() { chroot "$1" ldd "$2" | grep -o '/[^ ]*'; }

# remove_old FOLDER PATTERN removes what a day old build left there: newer ones may be another checkout's.
remove_old() { find "$1" -mindepth 1 -maxdepth 1 -name "$2" -mtime +0 -exec rm -rf {} +; }

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
	# What no container uses and is more than a day old; a newer one may be another checkout's.
	docker image prune --all --force --filter label=dev.podtrail.node-image --filter until=24h
}
