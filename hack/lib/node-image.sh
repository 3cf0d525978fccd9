# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
# Which node image the cluster gets: one that Docker has, kind's own pulled, or one built from source.

# shellcheck disable=SC2153
case $NODE_IMAGE in auto | pull | build) ;; *) die "NODE_IMAGE=$NODE_IMAGE: want auto, pull or build" ;; esac

# How long a registry may be silent before `auto` looks for another way, and how long a pull may take.
ANSWER_SECONDS=20
PULL_SECONDS=1800
PULL_ATTEMPTS=3
PULL_LOG=$CACHE/logs/pull.log

# of_same_minor IMAGE DEFAULT succeeds if the image is pinned by its digest and is of the Kubernetes minor that kind makes
# nodes of by default: the notes of a release of kind list several.
of_same_minor() {
	local minor
	minor=$(echo "$2" | sed -n 's/^kindest\/node:\(v1\.[0-9]*\)\..*$/\1/p')
	echo "$1" | grep -Eq "^kindest/node:${minor:-none}\\.[0-9]+@sha256:[0-9a-f]{64}\$"
}

# docker_has IMAGE succeeds if Docker has the image for its machine: one for another may be there from the time of a
# DOCKER_DEFAULT_PLATFORM.
docker_has() {
	local arch
	arch=$(docker image inspect --format '{{.Architecture}}' "$1" 2>/dev/null) || return 1
	[ "$arch" = "$(node_arch)" ]
}

# select_node_image sets node_image and built to an image that Docker has; fails if it has none.
select_node_image() {
	if [ "$NODE_IMAGE" != build ] && docker_has "$KIND_NODE_IMAGE"; then
		node_image=$KIND_NODE_IMAGE built=false
		return
	fi
	[ "$NODE_IMAGE" != pull ] || return 1
	node_image=$(node_image_reference) built=true
	docker_has "$node_image"
}

# choose_node_image sets what select_node_image sets; an image that is not there is pulled or built.
choose_node_image() {
	if select_node_image; then
		return
	fi
	get_node_image
	select_node_image || die "Docker has no node image for $(node_arch) after all: docker image ls; NODE_IMAGE=$NODE_IMAGE"
}

# get_node_image makes sure that Docker has a node image, or ends the script with what failed and one next step.
get_node_image() {
	if [ "$NODE_IMAGE" != build ]; then
		if pull_node_image; then
			return
		fi
		if [ "$NODE_IMAGE" = pull ] || ! can_install_packages; then
			die "$(pull_remedy)"
		fi
		case $pull_trouble in unreachable | silent) ;; *) die "$(pull_remedy)" ;; esac
		say "no registry can be reached ($(pull_message | head -n 1 | cut -c1-160)): building the node image"
	fi
	# Two compilers at once would compile what both need twice.
	join
	"$ROOT/hack/build-node-image.sh"
}

# pull_node_image pulls kind's node image, again if the download breaks off. If it fails, pull_trouble is the kind of
# failure, see pull_failure.
pull_node_image() {
	local attempt
	mkdir -p "$CACHE/logs"
	say "pulling kind's node image $KIND_NODE_IMAGE"
	for attempt in $(seq "$PULL_ATTEMPTS"); do
		pull_trouble=''
		if pull_once; then
			return
		fi
		[ -n "$pull_trouble" ] || pull_trouble=$(pull_failure)
		if [ "$pull_trouble" != broken ] || [ "$attempt" = "$PULL_ATTEMPTS" ]; then
			return 1
		fi
		say "  the download broke off ($(pull_message | tail -n 1 | cut -c1-160)): trying again, what was loaded is kept"
	done
}

# pull_once runs docker pull with its output in PULL_LOG. Where a registry that is silent has an alternative, its pull ends
# with pull_trouble=silent.
pull_once() {
	local pid begin=$SECONDS told=0 status=0
	docker pull "$KIND_NODE_IMAGE" >"$PULL_LOG" 2>&1 </dev/null &
	pid=$!
	trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		if [ "$NODE_IMAGE" = auto ] && ! grep -q 'Pulling from' "$PULL_LOG" && ((SECONDS - begin >= ANSWER_SECONDS)); then
			pull_trouble=silent
			kill "$pid" 2>/dev/null || true
			break
		fi
		if ((SECONDS - begin >= PULL_SECONDS)); then
			echo "not complete after $PULL_SECONDS s" >>"$PULL_LOG"
			pull_trouble=slow
			kill "$pid" 2>/dev/null || true
			break
		fi
		if ((SECONDS - begin >= told + 10)); then
			told=$((SECONDS - begin))
			say "  pulling ($told s of at most $PULL_SECONDS s): $(tail -n 1 "$PULL_LOG")"
		fi
		sleep 0.2
	done
	wait "$pid" || status=$?
	trap - INT TERM
	[ "$status" = 0 ] && [ -z "$pull_trouble" ]
}

# pull_failure prints which kind of failure PULL_LOG shows: rate, credentials, space, platform, certificate, refused,
# broken (off, after the registry had answered), unreachable, other.
pull_failure() {
	local text
	text=$(pull_message)
	case $text in
	*toomanyrequests* | *"429 Too Many Requests"*) echo rate ;;
	*"error getting credentials"* | *docker-credential-*) echo credentials ;;
	*"no space left on device"*) echo space ;;
	*"no matching manifest"*) echo platform ;;
	*x509:* | *"certificate signed by"*) echo certificate ;;
	*"Cannot connect to the Docker daemon"*) echo other ;;
	*unauthorized* | *"access denied"* | *"403 Forbidden"*) echo refused ;;
	*)
		if grep -q 'Pulling from' "$PULL_LOG"; then
			echo broken
			return
		fi
		case $text in
		*"no such host"* | *"server misbehaving"* | *"connection refused"* | *"connection reset"* | *"i/o timeout"* | \
			*"no route to host"* | *"network is unreachable"* | *"Client.Timeout"* | *"context deadline exceeded"* | \
			*"TLS handshake timeout"* | *proxyconnect* | *": EOF"*) echo unreachable ;;
		*) echo other ;;
		esac
		;;
	esac
}

# pull_message prints all that Docker said but its progress.
pull_message() {
	local text
	text=$(grep -Ev ': (Pulling from .*|Pulling fs layer|Waiting|Downloading|Verifying Checksum|Download complete|Extracting|Pull complete|Already exists|Retrying in .*)$' "$PULL_LOG" || true)
	echo "${text:-nothing}"
}

# pull_remedy prints what failed, with Docker's words, and one next step.
pull_remedy() {
	local next config=${DOCKER_CONFIG:-$HOME/.docker}/config.json
	case $pull_trouble in
	rate) next="docker login, then repeat: the registry limits pulls without an account" ;;
	credentials) next="take \"credsStore\" and \"credHelpers\" out of $config, then repeat: the program that they name is not here" ;;
	space) next="free some of Docker's disk (docker system prune) or enlarge it, then repeat" ;;
	platform) next="use a Docker on amd64 or arm64: kind has no node image for $(node_arch)" ;;
	certificate) next="give Docker the certificate of the proxy that reads your network's TLS (https://docs.docker.com/engine/security/certificates), then repeat" ;;
	refused) next="docker logout, then repeat; behind a mirror, see that it has the image" ;;
	broken) next="repeat: it broke off $PULL_ATTEMPTS times, and what was loaded is kept" ;;
	silent) next="NODE_IMAGE=pull, which waits as long as Docker does: the registry was silent for $ANSWER_SECONDS s" ;;
	slow) next="repeat on a faster network: what was loaded is kept" ;;
	unreachable) next="see that Docker has a network, behind a proxy also Docker's daemon (https://docs.docker.com/engine/daemon/proxy), then repeat" ;;
	*) next="see what stops this command: docker pull $KIND_NODE_IMAGE" ;;
	esac
	printf "Docker cannot pull kind's node image %s. It says:\n%s\nNext: %s" "$KIND_NODE_IMAGE" "$(pull_message | sed 's/^/  /')" "$next"
}
