# shellcheck shell=bash
# Finds Docker, or, as root on Debian or Ubuntu, installs it and starts a daemon of podtrail's own:
# own socket, own data folder, no bridge, nothing shared with a Docker that may be set up later.

OWN_DOCKER_RUN=/run/podtrail
OWN_DOCKER_SOCKET=$OWN_DOCKER_RUN/docker.sock
OWN_DOCKER_DATA=$CACHE/docker

# Windows' side of WSL2 is below it.
WSL_FOLDER=/mnt/wsl

docker_answers() { docker info >/dev/null 2>&1; }

# refuse_podman ends the script if docker is podman's shim, or podman answers behind Docker's own command.
refuse_podman() {
	local names
	names="$(docker --version 2>&1) $(docker version --format '{{range .Server.Components}}{{.Name}} {{end}}' 2>/dev/null)" || true
	case $names in *[Pp]odman*)
		die "docker is podman here, which is not supported: podtrail needs Docker Engine 20.10 or newer, or Docker Desktop (https://docs.docker.com/engine/install)"
		;;
	esac
}

# ask_docker_arch notes the architecture of Docker's machine, which is that of the nodes.
ask_docker_arch() {
	local arch
	arch=$(docker version --format '{{.Server.Arch}}' 2>&1) || arch="no answer: $arch"
	case $arch in
	'' | *[!a-z0-9]*) die "docker version gives \"$arch\" for the architecture of Docker's machine, want for example amd64 or arm64; check: docker version" ;;
	esac
	NODE_ARCH=$arch
}

# own_docker_runs tells whether the daemon in use is the one that start_own_docker started.
own_docker_runs() { [ -S "$OWN_DOCKER_SOCKET" ] && DOCKER_HOST=unix://$OWN_DOCKER_SOCKET docker_answers; }

# connect_docker leaves a Docker that answers behind DOCKER_HOST, or ends the script with what to do.
# A daemon that the user runs comes first; ours is started only where there is none.
connect_docker() {
	if use_running_docker; then
		return
	fi
	can_install_docker || die "$(docker_remedy)"
	install_packages dockerd=docker.io iptables=iptables
	# From Debian 13 on docker.io no longer brings the client.
	install_packages docker=docker-cli
	start_own_docker
}

# can_install_docker succeeds as root on Debian or Ubuntu, but not in WSL, where Docker Desktop may only be stopped: a
# second daemon beside it is for the user to choose.
can_install_docker() { can_install_packages && [ ! -d "$WSL_FOLDER" ]; }

# docker_remedy says why no Docker can be used and what to do.
docker_remedy() {
	local said=''
	if command -v docker >/dev/null; then said=$(docker info 2>&1) || true; fi
	if [[ $said == *[Pp]ermission\ denied* ]]; then
		echo "your user may not use Docker: sudo usermod -aG docker \$USER, log in anew, and check with: docker info"
		return
	fi
	if [ -d "$WSL_FOLDER" ]; then
		echo "no Docker daemon answers in this WSL: start Docker Desktop and switch on its integration for this distribution (Settings, Resources, WSL integration), or install and start Docker Engine here (https://docs.docker.com/engine/install); check with: docker info"
		return
	fi
	echo "no Docker daemon answers${DOCKER_HOST:+ at $DOCKER_HOST}: install and start Docker Engine or Docker Desktop (https://docs.docker.com/engine/install), check with: docker info"
}

# use_running_docker selects a Docker daemon that runs already; it starts nothing.
use_running_docker() {
	if [ -n "$NODE_ARCH" ]; then
		docker_answers
		return
	fi
	if command -v docker >/dev/null; then
		refuse_podman
		if docker_answers; then
			ask_docker_arch
			return
		fi
	fi
	own_docker_runs || return 1
	export DOCKER_HOST=unix://$OWN_DOCKER_SOCKET
	ask_docker_arch
}

start_own_docker() {
	local runtime=()
	mkdir -p "$OWN_DOCKER_RUN" "$OWN_DOCKER_DATA" "$CACHE/logs"
	if lacks_sys_resource; then
		install -m 0755 "$ROOT/hack/lib/runc-without-sys-resource" "$OWN_DOCKER_RUN/"
		runtime=(--add-runtime "podtrail=$OWN_DOCKER_RUN/runc-without-sys-resource" --default-runtime podtrail)
	fi
	say "no Docker daemon runs here: starting one for podtrail (socket $OWN_DOCKER_SOCKET, data $OWN_DOCKER_DATA)"
	iptables -S FORWARD | sed -n 1p >"$OWN_DOCKER_RUN/forward-policy"
	setsid dockerd --host "unix://$OWN_DOCKER_SOCKET" --data-root "$OWN_DOCKER_DATA" --exec-root "$OWN_DOCKER_RUN/exec" \
		--pidfile "$OWN_DOCKER_RUN/docker.pid" --bridge none ${runtime[@]+"${runtime[@]}"} \
		>"$CACHE/logs/dockerd.log" 2>&1 </dev/null 3>&- &
	export DOCKER_HOST=unix://$OWN_DOCKER_SOCKET
	wait_for 60 "the Docker daemon (log: $CACHE/logs/dockerd.log)" docker info --format '{{.ServerVersion}}'
	ask_docker_arch
}

# stop_own_docker ends the daemon that start_own_docker started, if no container is left in it.
stop_own_docker() {
	local pid
	own_docker_runs || return 0
	export DOCKER_HOST=unix://$OWN_DOCKER_SOCKET
	if [ -n "$(docker ps --all --quiet)" ]; then
		say "podtrail's Docker daemon goes on: it has other containers"
		return
	fi
	pid=$(cat "$OWN_DOCKER_RUN/docker.pid")
	kill "$pid"
	wait_for 60 "the Docker daemon (process $pid) to end" process_gone "$pid"
	remove_docker_rules
	rm -rf "$OWN_DOCKER_RUN"
	say "stopped podtrail's Docker daemon"
}

# remove_docker_rules takes out the packet filter rules that a Docker daemon leaves behind when it ends, and
# gives the FORWARD chain the policy that it had before.
remove_docker_rules() {
	local table rule
	# Another daemon, started later, uses the same chains.
	! pgrep -x dockerd >/dev/null || return 0
	for table in filter nat; do
		# The jumps into Docker's chains, then the chains. xargs takes the quotes that iptables prints apart.
		iptables -t $table -S | sed -n '/-j DOCKER/s/^-A /-D /p' | while read -r rule; do
			echo "$rule" | xargs iptables -t $table
		done
		for rule in $(iptables -t $table -S | sed -n 's/^-N \(DOCKER.*\)/\1/p'); do iptables -t $table -F "$rule"; done
		for rule in $(iptables -t $table -S | sed -n 's/^-N \(DOCKER.*\)/\1/p'); do iptables -t $table -X "$rule"; done
	done
	# One line of iptables -S, which is what iptables takes: "-P FORWARD ACCEPT".
	xargs iptables <"$OWN_DOCKER_RUN/forward-policy"
}

process_gone() { ! kill -0 "$1" 2>/dev/null; }

# lacks_sys_resource tells whether this machine withholds CAP_SYS_RESOURCE (bit 24), without which runc
# refuses privileged containers, and so kind's nodes.
lacks_sys_resource() {
	local bounding
	[ -r /proc/self/status ] || return 1
	bounding=$(awk '/^CapBnd/ {print $2}' /proc/self/status)
	(((0x$bounding >> 24 & 1) == 0))
}
