# shellcheck shell=bash
# The root filesystem of a node: Debian packages, kind's own files, the node's binaries.

# What kind's base image installs, less the network storage clients.
NODE_PACKAGES=systemd,systemd-sysv,dbus,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2,pigz,e2fsprogs,bash,ca-certificates,curl,jq,procps,socat,ebtables,hostname

packages_path() {
	echo "$CACHE/rootfs/packages-$(echo "$NODE_PACKAGES $DEBIAN_RELEASE $(node_arch)" | hash_of).tar"
}

build_packages() {
	local out
	out=$(packages_path)
	if [ -f "$out" ]; then
		cached
		return
	fi
	mkdir -p "$(dirname "$out")"
	mmdebstrap --variant=minbase --architectures="$(node_arch)" --include="$NODE_PACKAGES" "$DEBIAN_RELEASE" "$out.part.$$.tar"
	mv "$out.part.$$.tar" "$out"
}

build_pause() {
	local out
	out=$(pause_path)
	if [ -x "$out" ]; then
		cached
		return
	fi
	mkdir -p "$(dirname "$out")"
	gcc -Os -Wall -static -DVERSION="$PAUSE_VERSION" -o "$out.part.$$" "$(module_dir kubernetes k8s.io/kubernetes)/build/pause/linux/pause.c"
	strip "$out.part.$$"
	mv "$out.part.$$" "$out"
}

pause_path() { echo "$CACHE/components/pause-$(echo "$PAUSE_VERSION $(node_arch)" | hash_of)/pause"; }

# module_dir FOLDER MODULE prints where Go keeps the source of a module that a modfile under hack/node-image names.
module_dir() {
	(cd "$ROOT/hack/node-image/$1" && GOWORK=off go mod download "$2" && GOWORK=off go list -m -f '{{.Dir}}' "$2")
}

# module_version FOLDER MODULE prints which version of a module that modfile names.
module_version() { awk -v module="$2" '$1 == module {print $2}' "$ROOT/hack/node-image/$1/go.mod"; }

kind_files_dir() {
	(cd "$ROOT" && GOWORK=off go mod download -modfile=go.tools.mod sigs.k8s.io/kind &&
		echo "$(GOWORK=off go list -modfile=go.tools.mod -m -f '{{.Dir}}' sigs.k8s.io/kind)/images/base/files")
}

rootfs_path() {
	echo "$CACHE/rootfs/node-$({
		packages_path
		for name in $GO_COMPONENTS; do component_path "$name"; done
		cat "$ROOT/hack/lib/rootfs.sh" "$ROOT/hack/node-image/rootfs/"* "$ROOT/config/kind/storage.yaml"
		storage_image provisioner
		storage_image helper
		(cd "$ROOT" && GOWORK=off go list -modfile=go.tools.mod -m sigs.k8s.io/kind)
	} | hash_of).tar"
}

build_rootfs() {
	local out tree kind_files name
	out=$(rootfs_path)
	if [ -f "$out" ]; then
		cached
		return
	fi
	kind_files=$(kind_files_dir)
	tree=$(mktemp -d "$CACHE/rootfs/tree.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$tree'" EXIT
	tar -xf "$(packages_path)" -C "$tree" --exclude='./dev/*'

	cp -r --no-preserve=mode,ownership "$kind_files/etc" "$kind_files/kind" "$kind_files/usr" "$tree/"
	chmod 0755 "$tree/kind" "$tree/kind/bin" "$tree"/kind/bin/* "$tree"/usr/local/bin/*
	for name in $CONTAINERD_COMPONENTS; do install -m 0755 "$(component_path "$name")" "$tree/usr/local/bin/"; done
	install -D -m 0755 "$(component_path runc)" "$tree/usr/local/sbin/runc"
	for name in $CNI_COMPONENTS; do install -D -m 0755 "$(component_path "$name")" "$tree/opt/cni/bin/$name"; done
	for name in kubelet kubeadm kubectl; do install -m 0755 "$(component_path "$name")" "$tree/usr/bin/"; done

	# kind reads the version here; kubelet and kubeadm expect the folder.
	echo "$KUBERNETES_VERSION" >"$tree/kind/version"
	mkdir -p "$tree/etc/kubernetes/manifests" "$tree/kind/manifests"
	# kind applies this file itself, as it does with the one in its own image.
	sed -e "s#@PROVISIONER_IMAGE@#$(storage_image provisioner)#" -e "s#@HELPER_IMAGE@#$(storage_image helper)#g" \
		"$ROOT/config/kind/storage.yaml" >"$tree/kind/manifests/default-storage.yaml"
	sed -i "s#registry.k8s.io/pause:[0-9.]*#registry.k8s.io/pause:$PAUSE_VERSION#" "$tree/etc/containerd/config.toml"
	chroot "$tree" ctr oci spec |
		chroot "$tree" jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
			>"$tree/etc/containerd/cri-base.json"

	# The units that must not run in a container, as in kind's base image, and those that must.
	rm -f "$tree"/usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
		"$tree"/usr/lib/systemd/system/multi-user.target.wants/* "$tree"/etc/systemd/system/*.wants/* \
		"$tree"/usr/lib/systemd/system/local-fs.target.wants/* "$tree"/usr/lib/systemd/system/basic.target.wants/* \
		"$tree"/usr/lib/systemd/system/sockets.target.wants/*udev* "$tree"/usr/lib/systemd/system/sockets.target.wants/*initctl*
	echo "ReadKMsg=no" >>"$tree/etc/systemd/journald.conf"
	ln -sf /usr/lib/systemd/systemd "$tree/sbin/init"
	install -m 0644 "$ROOT/hack/node-image/rootfs/podtrail-routes.service" "$tree/etc/systemd/system/"
	install -m 0755 "$ROOT/hack/node-image/rootfs/podtrail-routes" "$tree/usr/local/bin/"
	chroot "$tree" systemctl enable kubelet.service containerd.service undo-mount-hacks.service podtrail-routes.service
	chroot "$tree" systemctl mask systemd-binfmt.service
	rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/usr/share/doc/* "$tree"/usr/share/man/*

	tar -cf "$out.part.$$" --numeric-owner -C "$tree" .
	mv "$out.part.$$" "$out"
	remove_old "$CACHE/rootfs" 'node-*.tar'
}
