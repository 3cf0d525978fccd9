# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
# Builds the binaries of Kubernetes and of the node from Go modules, each cached by content.

KUBERNETES_COMPONENTS="kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubeadm kubectl"
CONTAINERD_COMPONENTS="containerd containerd-shim-runc-v2 ctr"
CNI_COMPONENTS="ptp host-local portmap loopback"
# Everything in a node image that is built from Go modules, in the order in which it is built.
GO_COMPONENTS="$KUBERNETES_COMPONENTS $CONTAINERD_COMPONENTS runc $CNI_COMPONENTS etcd coredns local-path-provisioner"

# kube_version_flags prints the linker flags that tell a Kubernetes program its version.
kube_version_flags() {
	local minor=${KUBERNETES_VERSION#v1.} package
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		printf -- '-X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s -X %s.gitTreeState=archive ' \
			"$package" "$KUBERNETES_VERSION" "$package" "$package" "${minor%%.*}" "$package"
	done
}

# component NAME sets what it takes to build it: module folder, package, build tags, linker flags, cgo.
component() {
	tags='' ldflags='-s -w' cgo=0
	case $1 in
	kube-network-policies) module=network-policies package=sigs.k8s.io/kube-network-policies/cmd/kube-network-policies/standard ;;
	kube*)
		module=kubernetes package=k8s.io/kubernetes/cmd/$1 ldflags="-s -w $(kube_version_flags)"
		;;
	containerd* | ctr) module=containerd package=github.com/containerd/containerd/v2/cmd/$1 tags=no_btrfs,no_devmapper,no_zfs ;;
	runc) module=runc package=github.com/opencontainers/runc tags=seccomp cgo=1 ;;
	ptp | loopback) module=cni package=github.com/containernetworking/plugins/plugins/main/$1 ;;
	host-local) module=cni package=github.com/containernetworking/plugins/plugins/ipam/$1 ;;
	portmap) module=cni package=github.com/containernetworking/plugins/plugins/meta/$1 ;;
	etcd) module=etcd package=go.etcd.io/etcd/server/v3 ;;
	local-path-provisioner) module=local-path package=github.com/rancher/local-path-provisioner ;;
	coredns | registry) module=$1 package=. ;;
	*) die "no component is called $1" ;;
	esac
}

# component_arch [GOOS] prints the architecture to build for: this machine's if its GOOS is named, else the nodes'.
component_arch() { if [ -n "${1:-}" ]; then go env GOARCH; else node_arch; fi; }

# component_path NAME [GOOS] prints where the binary of exactly this source and these flags lies, built or not.
# With GOOS it is a program for this machine, without one for the nodes.
component_path() {
	local module package tags ldflags cgo key goos=${2:-linux} arch
	arch=$(component_arch "${2:-}")
	: "${GO_VERSION:=$(go_version)}"
	component "$1"
	key=$({
		cat "$ROOT/hack/node-image/$module/go.mod" "$ROOT/hack/node-image/$module/go.sum"
		[ ! -f "$ROOT/hack/node-image/$module/main.go" ] || cat "$ROOT/hack/node-image/$module/main.go"
		printf '%s %s %s %s %s\n%s %s\n' "$package" "$tags" "$ldflags" "$cgo" "$GO_VERSION" "$arch" "$goos"
	} | hash_of)
	echo "$CACHE/components/$1-$key/$1"
}

# build_component NAME [GOOS] makes sure that the binary lies at component_path.
# What is being built has the process id in its name, so that two checkouts can build at once.
build_component() {
	local module package tags ldflags cgo out
	out=$(component_path "$1" "${2:-}")
	if [ -x "$out" ]; then
		cached
		return
	fi
	component "$1"
	mkdir -p "$(dirname "$out")"
	compile "${2:-linux}" "$(component_arch "${2:-}")" "$out.part.$$" "$package" || return 1
	mv "$out.part.$$" "$out"
}

# build_components NAME… does the same for programs of one module that are built with the same flags and called as
# their packages are. One run of the compiler makes all that the cache lacks: it loads the module once and
# links one program while it compiles the next.
build_components() {
	local module package tags ldflags cgo name out missing='' packages='' folder=$CACHE/components/part.$$
	for name in "$@"; do
		out=$(component_path "$name")
		[ ! -x "$out" ] || continue
		component "$name"
		# Without the cache's own path, which may have a blank in it.
		missing="$missing ${out#"$CACHE/components/"}"
		packages="$packages $package"
	done
	if [ -z "$missing" ]; then
		cached
		return
	fi
	mkdir -p "$folder"
	# shellcheck disable=SC2086
	compile linux "$(node_arch)" "$folder/" $packages || return 1
	for out in $missing; do
		mkdir -p "$CACHE/components/$(dirname "$out")"
		mv "$folder/$(basename "$out")" "$CACHE/components/$out"
	done
	rmdir "$folder"
}

# compile GOOS GOARCH OUTPUT PACKAGE… builds packages of the component that is set. The compiler collects garbage half as
# often as usual: a large package (k8s.io/api/core/v1) takes 13.2 s of processor time instead of 16.3 s, and 421 MiB of
# memory instead of 354.
compile() {
	local goos=$1 goarch=$2 out=$3
	shift 3
	(cd "$ROOT/hack/node-image/$module" &&
		GOWORK=off GOOS=$goos GOARCH=$goarch CGO_ENABLED=$cgo GOGC=${GOGC:-200} go build -tags "$tags" -ldflags "$ldflags" -o "$out" "$@")
}
