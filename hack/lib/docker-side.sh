# shellcheck shell=bash disable=SC2034,SC2154 # the scripts that source this set and use its variables
# What only Docker's own machine knows, be it this one, a virtual machine or another: one container of the node image
# looks, right before kind makes the nodes. And the configuration of the cluster, which depends on it.

# What three nodes write to Docker's disk once their image is there, in GiB.
DISK_GIB_NODES=4

# docker_is_here succeeds if Docker's daemon runs on this machine's own kernel and files.
docker_is_here() {
	[ "$(uname -s)" = Linux ] || return 1
	case ${DOCKER_HOST:-} in tcp://* | ssh://*) return 1 ;; esac
	[ -d "$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)" ]
}

# docker_side [FOLDER] prints what a container as privileged as a node sees: its disk, its limits, its environment, and
# last, after a line "policy", a file of the folder. Fails if Docker cannot run it.
docker_side() {
	docker run --rm --privileged --network none --entrypoint sh ${1:+--volume "$1:/podtrail:ro"} "$node_image" -c '
		echo "inotify $(cat /proc/sys/fs/inotify/max_user_instances)"
		df -Pk / | sed -n "2s/^/disk /p"
		sed -n "s/^CapBnd:[[:space:]]*/capabilities /p" /proc/self/status
		env | sed "s/^/env /"
		echo policy
		cat /podtrail/apiserver/audit-policy.yaml 2>/dev/null || true' </dev/null 2>&1
}

# look_at_docker_side ends the script if Docker cannot see the files that the nodes mount, or has too little disk; warns of
# a low inotify limit; learns Docker's proxies; sets restricted to whether nodes lack CAP_SYS_RESOURCE (bit 24), without
# which runc cannot lower an OOM score.
look_at_docker_side() {
	local seen free capabilities
	if ! seen=$(docker_side "$STATE/node"); then
		# Without the folder it either works, then the folder was at fault, or it does not.
		docker_side '' >/dev/null || die "Docker cannot run a privileged container of $node_image, as nodes are: $(printf '%s\n' "$seen" | tail -n 3)"
		die "$(mount_remedy "$(printf '%s\n' "$seen" | tail -n 3)")"
	fi
	[ "$(printf '%s\n' "$seen" | sed '1,/^policy$/d')" = "$(cat "$STATE/node/apiserver/audit-policy.yaml")" ] ||
		die "$(mount_remedy "the folder is empty there")"
	# Each reader reads to the end: one that stops ends the script, by SIGPIPE.
	seen=$(printf '%s\n' "$seen" | sed '/^policy$/,$d')

	free=$(printf '%s\n' "$seen" | awk '$1 == "disk" {print $5}')
	if is_number "$free" && [ "$free" -lt $((DISK_GIB_NODES * 1024 * 1024)) ]; then
		die "$(gib "$free") GiB are free on Docker's disk, three nodes need $DISK_GIB_NODES: free some (docker system prune) or enlarge it (Docker Desktop: Settings, Resources)"
	fi
	check_inotify "$(printf '%s\n' "$seen" | awk '$1 == "inotify" {print $2}')"
	# In this shell, so that the variables stay: no pipe.
	learn_docker_proxy <<<"$(printf '%s\n' "$seen" | sed -n 's/^env //p')"
	capabilities=$(printf '%s\n' "$seen" | awk '$1 == "capabilities" {print $2}')
	restricted=false
	case $capabilities in
	'' | *[!0-9a-f]*) warn "Docker does not say what its privileged containers may do: CapBnd is \"$capabilities\"" ;;
	*) (((0x$capabilities >> 24 & 1) == 1)) || restricted=true ;;
	esac
}

# mount_remedy SEEN prints that Docker cannot see the cache's folder, and what to do by case.
mount_remedy() {
	local next="share it with Docker (Docker Desktop: Settings, Resources, File sharing), or set PODTRAIL_CACHE to a folder below your home"
	case "$(command -v docker) $(docker info --format '{{.DockerRootDir}}' 2>/dev/null)" in
	*/snap/*) next="Docker is from snap, which cannot read hidden folders: use Docker's own packages (https://docs.docker.com/engine/install), or PODTRAIL_CACHE=$HOME/podtrail-cache" ;;
	*)
		case ${DOCKER_HOST:-} in
		tcp://* | ssh://*) next="Docker runs on another machine (DOCKER_HOST=$DOCKER_HOST): use a Docker on this one" ;;
		esac
		;;
	esac
	echo "Docker cannot see the files that the nodes need, below $CACHE: $1. Next: $next"
}

# write_configuration fills the state folder with what the nodes mount, and the configuration of the cluster.
write_configuration() {
	local drop=/@WITHOUT_SYS_RESOURCE@/d
	rm -rf "$STATE"
	mkdir -p "$STATE"
	cp -R "$ROOT/config/kind/node" "$STATE/node"
	mkdir "$STATE/node/certs.d/localhost:5001"
	sed "s/@REGISTRY@/$REGISTRY_CONTAINER/" "$ROOT/config/kind/node/certs.d/hosts.toml" >"$STATE/node/certs.d/localhost:5001/hosts.toml"
	rm "$STATE/node/certs.d/hosts.toml"
	look_at_docker_side
	if $restricted; then drop='s/ *# @WITHOUT_SYS_RESOURCE@$//'; fi
	sed -e "$drop; s#@STATE@#$(for_sed "$STATE")#; s#@DISABLE_DEFAULT_CNI@#$built#; s#@KUBE_PROXY_MODE@#$proxy_mode#" \
		"$ROOT/config/kind/cluster.yaml" >"$STATE/cluster.yaml"
	tell_proxy
}
