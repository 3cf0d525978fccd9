# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
# Builds the binaries of Kubernetes and of the node from Go modules, each cached by content.

KUBERNETES_COMPONENTS="kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubeadm kubectl"
CONTAINERD_COMPONENTS="containerd containerd-shim-runc-v2 ctr"
CNI_COMPONENTS="ptp host-local portmap loopback"
# Everything in a node image that is built from Go modules, in the order in which it is built.
GO_COMPONENTS="$KUBERNETES_COMPONENTS $CONTAINERD_COMPONENTS runc $CNI_COMPONENTS etcd coredns"

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
	kube*)
		module=kubernetes package=k8s.io/kubernetes/cmd/$1 ldflags="-s -w $(kube_version_flags)"
		;;
	containerd* | ctr) module=containerd package=github.com/containerd/containerd/v2/cmd/$1 tags=no_btrfs,no_devmapper,no_zfs ;;
	runc) module=runc package=github.com/opencontainers/runc tags=seccomp cgo=1 ;;
	ptp | loopback) module=cni package=github.com/containernetworking/plugins/plugins/main/$1 ;;
	host-local) module=cni package=github.com/containernetworking/plugins/plugins/ipam/$1 ;;
	portmap) module=cni package=github.com/containernetworking/plugins/plugins/meta/$1 ;;
	etcd) module=etcd package=go.etcd.io/etcd/server/v3 ;;
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
	local module package tags ldflags cgo out goos=${2:-linux} arch
	arch=$(component_arch "${2:-}")
	out=$(component_path "$1" "$goos")
	if [ -x "$out" ]; then
		cached
		return
	fi
	component "$1"
	mkdir -p "$(dirname "$out")"
	(cd "$ROOT/hack/node-image/$module" &&
		GOWORK=off GOOS=$goos GOARCH=$arch CGO_ENABLED=$cgo go build -tags "$tags" -ldflags "$ldflags" -o "$out.part.$$" "$package") || return 1
	mv "$out.part.$$" "$out"
}
