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
	check_docker
	check_rootless
	check_disk
	check_memory
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
	version=$(go_version | sed 's/^go//; s/[^0-9.].*//')
	if [ "$(printf '%s\n%s\n' "$GO_MINIMUM" "$version" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" != "$GO_MINIMUM" ]; then
		problem "Go is $version, Kubernetes 1.36 needs $GO_MINIMUM or newer: https://go.dev/dl"
	fi
}

check_docker() {
	use_running_docker || can_install_docker || problem "$(docker_remedy)"
}

# check_rootless finds what kind refuses, after minutes, of a daemon without root; what it takes is nobody's proof.
check_rootless() {
	local cgroup memory pids cpu
	use_running_docker || return 0
	case $(docker info --format '{{.SecurityOptions}}') in *name=rootless*) ;; *) return 0 ;; esac
	read -r cgroup memory pids cpu <<<"$(docker info --format '{{.CgroupVersion}} {{.MemoryLimit}} {{.PidsLimit}} {{.CPUShares}}')"
	if [ "$cgroup" != 2 ]; then
		problem "Docker is rootless and on cgroup v$cgroup, kind's nodes then need cgroup v2: use Docker with root, or boot with cgroup v2 (https://kind.sigs.k8s.io/docs/user/rootless)"
	elif [ "$memory $pids $cpu" != "true true true" ]; then
		problem "Docker is rootless and may not limit memory, processes and CPU: set Delegate=yes for your user (https://kind.sigs.k8s.io/docs/user/rootless)"
	else
		warn "Docker is rootless: nobody has tested podtrail with it"
	fi
}

# check_disk asks for what is sure to be needed. What Docker's own disk has, and what a build needs, is asked once it is
# known: look_at_docker_side, require_disk_for_build.
check_disk() {
	local need=$DISK_GIB_PULL
	if [ "$NODE_IMAGE" = build ] && ! { use_running_docker && docker_has "$(node_image_reference)"; }; then
		need=$DISK_GIB_BUILD
	fi
	problems=$problems$(disk_problems "$need")
}

# require_disk_for_build ends the script if a node image cannot be built for want of disk.
require_disk_for_build() {
	local lack
	lack=$(disk_problems "$DISK_GIB_BUILD")
	[ -z "$lack" ] || die "the node image cannot be built:$lack"
}

# disk_problems GIB prints, as problem does, which of the folders that fill have less free.
disk_problems() {
	local folder free need=$1
	mkdir -p "$CACHE"
	# Docker's folder is on this machine only where Docker is no virtual machine.
	for folder in "$CACHE" "$(use_running_docker && docker info --format '{{.DockerRootDir}}')"; do
		[ -d "$folder" ] || continue
		free=$(df -Pk "$folder" | awk 'NR == 2 {print $4}')
		if ! is_number "$free"; then
			warn "df -Pk $folder gives \"$free\" for what is free"
		elif [ "$free" -lt $((need * 1024 * 1024)) ]; then
			printf '\n  - %s' "$(gib "$free") GiB are free below $folder, up to $need GiB are needed: free some, or set PODTRAIL_CACHE to a folder on a larger disk"
		fi
	done
}

check_memory() {
	local have
	if use_running_docker; then
		have=$(docker info --format '{{.MemTotal}}')
		if ! is_number "$have"; then
			warn "docker info gives \"$have\" for Docker's memory; three nodes need $MEMORY_MIB MiB"
			return
		fi
		have=$((have / 1024 / 1024))
	elif [ -r /proc/meminfo ]; then
		have=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024))
	else
		return 0
	fi
	[ "$have" -ge "$MEMORY_MIB" ] ||
		problem "Docker has $have MiB of memory, three nodes need $MEMORY_MIB: give it more (Docker Desktop: Settings, Resources; colima: colima stop, then colima start --cpu 4 --memory 6; WSL2: memory in .wslconfig)"
}

check_port() {
	local port remedy="or choose another port with REGISTRY_PORT=5010"
	case $REGISTRY_PORT in
	'' | *[!0-9]* | ??????*) problem "REGISTRY_PORT=$REGISTRY_PORT: want the number of a free port, for example 5010" && return ;;
	esac
	port=$(registry_port)
	if use_running_docker && [ -n "$(docker ps --quiet --filter "name=^$REGISTRY_CONTAINER\$")" ]; then
		return
	fi
	(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
	[ "$port" = "$REGISTRY_PORT" ] || remedy="then repeat"
	problem "port $port, which the registry would take, is in use: end that program, $remedy"
}

check_foreign_cluster() {
	use_running_docker || return 0
	if [ -n "$(cluster_nodes)" ] && [ ! -d "$STATE" ]; then
		problem "a kind cluster named $CLUSTER_NAME exists that podtrail did not make: delete it (kind delete cluster --name $CLUSTER_NAME), or choose another name with CLUSTER_NAME=podtrail2"
	fi
}
