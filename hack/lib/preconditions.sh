# shellcheck shell=bash
# Everything that would stop cluster-up later, found before anything is changed and told all at once.

# The free disk to ask for, in GiB. `make demo` with nothing cached and a node image to build left 13 behind
# (du -sh of the cache and of Go's caches); kind's own node image needs neither the parts nor their build cache.
DISK_GIB_BUILD=16
DISK_GIB_PULL=8
# What a machine sold as 4 GiB reports.
MEMORY_MIB=3700

problems=''
problem() { problems="$problems
  - $1"; }

check_preconditions() {
	check_go
	check_disk
	check_memory
	check_docker
	check_port
	check_foreign_cluster
	[ -z "$problems" ] || die "this machine is not ready for the cluster $CLUSTER_NAME:$problems"
}

check_go() {
	local version
	if ! command -v go >/dev/null; then
		problem "Go is missing: install Go $GO_MINIMUM or newer from https://go.dev/dl"
		return
	fi
	version=$(go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
	if [ "$(printf '%s\n%s\n' "$GO_MINIMUM" "$version" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" != "$GO_MINIMUM" ]; then
		problem "Go is $version, Kubernetes 1.36 needs $GO_MINIMUM or newer: https://go.dev/dl"
	fi
}

check_disk() {
	local folder free need=$DISK_GIB_PULL
	[ "$NODE_IMAGE" = pull ] || need=$DISK_GIB_BUILD
	mkdir -p "$CACHE"
	# Docker's folder is on this machine only where Docker is no virtual machine.
	for folder in "$CACHE" "$(use_running_docker && docker info --format '{{.DockerRootDir}}')"; do
		[ -d "$folder" ] || continue
		free=$(($(df -Pk "$folder" | awk 'NR == 2 {print $4}') / 1024 / 1024))
		[ "$free" -ge "$need" ] ||
			problem "$free GiB are free below $folder, up to $need GiB are needed: free some, or set PODTRAIL_CACHE to a folder on a larger disk"
	done
}

check_memory() {
	local have
	if use_running_docker; then
		have=$(($(docker info --format '{{.MemTotal}}') / 1024 / 1024))
	elif [ -r /proc/meminfo ]; then
		have=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024))
	else
		return
	fi
	[ "$have" -ge "$MEMORY_MIB" ] ||
		problem "Docker has $have MiB of memory, three nodes need $MEMORY_MIB: give it more (Docker Desktop: Settings, Resources)"
}

check_docker() {
	use_running_docker || can_install_packages || problem "$(docker_remedy)"
}

check_port() {
	(exec 3<>"/dev/tcp/127.0.0.1/$REGISTRY_PORT") 2>/dev/null || return 0
	if use_running_docker && [ -n "$(docker ps --quiet --filter "name=^$REGISTRY_CONTAINER\$")" ]; then
		return
	fi
	problem "port $REGISTRY_PORT, which the registry would take, is in use: end that program, or choose another port with REGISTRY_PORT=5010"
}

check_foreign_cluster() {
	use_running_docker || return 0
	if [ -n "$(cluster_nodes)" ] && [ ! -d "$STATE" ]; then
		problem "a kind cluster named $CLUSTER_NAME exists that podtrail did not make: delete it (kind delete cluster --name $CLUSTER_NAME), or choose another name with CLUSTER_NAME=podtrail2"
	fi
}
