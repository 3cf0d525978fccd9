# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
# What every script under hack/ shares: strict mode, paths, messages, waits with a deadline, parts with their time.
# Written for bash 3.2 as well, the one that macOS ships.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=hack/versions.sh
. "$ROOT/hack/versions.sh"

CLUSTER_NAME=${CLUSTER_NAME:-podtrail}
# The port on this machine of a registry to be made, see registry_port for one that runs; nodes know the registry as
# localhost:5001 whatever this is.
REGISTRY_PORT=${REGISTRY_PORT:-5001}
# auto: what Docker has, else pull kind's node image, else build one where that is possible; pull; build.
NODE_IMAGE=${NODE_IMAGE:-auto}

CACHE=${PODTRAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/podtrail}
BIN=$ROOT/bin
# Files that the nodes mount: they must outlive this checkout.
STATE=$CACHE/clusters/$CLUSTER_NAME
CLUSTER_KUBECONFIG=$BIN/$CLUSTER_NAME.kubeconfig
REGISTRY_CONTAINER=$CLUSTER_NAME-registry

# What the shell of the user may hold and what would build or start something else here: a platform for all of
# Docker's commands, a mode of Go's modules, a workspace.
unset DOCKER_DEFAULT_PLATFORM
export GO111MODULE=on GOWORK=off
# go_flags prints one set of flags for everywhere, so that all our builds share Go's build cache, and what GOFLAGS
# holds besides. -buildvcs=false: git refuses to read a checkout that belongs to another user.
go_flags() {
	local flag flags='-trimpath -buildvcs=false'
	set -f # in the subshell of $(go_flags)
	# shellcheck disable=SC2086
	for flag in ${GOFLAGS:-}; do
		case $flag in
		-mod=* | --mod=* | -modfile=* | --modfile=* | -trimpath | -buildvcs=*) ;;
		*) flags="$flags $flag" ;;
		esac
	done
	echo "$flags"
}
GOFLAGS=$(go_flags)
export CGO_ENABLED=0 GOFLAGS
# The architecture of Docker's machine, in Go's words; use_running_docker asks for it.
NODE_ARCH=''
# node_arch prints the architecture to build for what runs on nodes: Docker's, which need not be Go's (Go under Rosetta,
# a daemon elsewhere), or Go's where no Docker was asked.
node_arch() { echo "${NODE_ARCH:-$(go env GOARCH)}"; }

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

is_number() {
	case ${1:-} in '' | *[!0-9]*) return 1 ;; esac
}

# copy_to FOLDER copies the checkout there, without what git ignores.
copy_to() { (cd "$ROOT" && tracked_files -z | tar --null -cf - -T -) | tar -xf - -C "$1"; }

# gib KIB prints a size in GiB with one decimal.
gib() { awk -v kib="$1" 'BEGIN {printf "%.1f\n", int(kib / 1024 / 102.4) / 10}'; }

# require_linux WHAT ends the script on another system, before anything is built.
require_linux() { [ "$(uname -s)" = Linux ] || die "$1 reads /proc, so it runs on Linux only; this is $(uname -s)"; }

# repository ARGS… runs git on this checkout, from its root. git refuses a repository of another user (safe.directory)
# when it has to look for it; every version takes one that is named.
repository() {
	[ -e "$ROOT/.git" ] || die "$ROOT is no git checkout, and this needs the list of files that git keeps: use a clone"
	git -C "$ROOT" --git-dir="$ROOT/.git" --work-tree="$ROOT" "$@"
}

# tracked_files ARGS… prints the files of the checkout that git does not ignore, new ones among them.
tracked_files() { repository ls-files --cached --others --exclude-standard "$@"; }

# for_sed TEXT prints the text so that sed takes it as it is, in a pattern and in a replacement, between two #.
for_sed() { printf '%s' "$1" | sed 's/[][\\.*^$#&]/\\&/g'; }
CACHE_PATTERN=$(for_sed "$CACHE")

GO_VERSION='' # so that it is asked once
# go_version prints the version of Go that builds this checkout: Go takes a newer toolchain where go.mod wants one.
go_version() { (cd "$ROOT" && go env GOVERSION); }

# hash_of prints the first 12 hex digits of the SHA-256 of its standard input. Where the cache lies is no
# part of what is hashed.
hash_of() {
	sed "s#$CACHE_PATTERN##g" | if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c1-12
}

# tool NAME ARGS… runs a tool of go.tools.mod; it is compiled on first use and then comes from Go's cache.
tool() {
	(cd "$ROOT" && GOWORK=off GOOS='' GOARCH='' go tool -modfile=go.tools.mod "$@")
}

# bounded SECONDS COMMAND… runs the command and ends it after SECONDS: timeout(1), which macOS lacks.
bounded() {
	local seconds=$1 pid watchdog status=0
	shift
	"$@" &
	pid=$!
	(
		sleep "$seconds"
		kill "$pid"
	) >/dev/null 2>&1 &
	watchdog=$!
	wait "$pid" || status=$?
	kill "$watchdog" 2>/dev/null || true
	wait "$watchdog" 2>/dev/null || true
	return "$status"
}

# wait_for SECONDS WHAT COMMAND… repeats the command every half second until it succeeds.
# At the deadline it says what it waited for and what the command printed last, and fails.
wait_for() {
	local seconds=$1 what=$2 last='' begin=$SECONDS told=0
	shift 2
	until last=$("$@" 2>&1); do
		if ((SECONDS - begin >= seconds)); then
			printf 'error: waited %s s for %s; seen last: %s\n' "$seconds" "$what" "${last:-nothing}" >&2
			return 1
		fi
		if ((SECONDS - begin >= told + 10)); then
			told=$((SECONDS - begin))
			say "  waiting for $what ($told s of at most $seconds s)"
		fi
		sleep 0.5
	done
}

# SERIES names the parts of a script that runs beside another: "programs 2/6".
SERIES=${SERIES:-}
PART=0
PARTS=0
# part NAME COMMAND… runs one part of a longer work and prints its place, its name and its time when it is done; every
# ten seconds until then what it printed last. The output goes to a log that is shown when the part fails. A command
# that did nothing because the cache had it says so by writing "cached" to file descriptor 3.
part() {
	local name=$1 begin=$SECONDS log note pid follower status=0
	shift
	PART=$((PART + 1))
	[ -z "$BESIDE" ] || kill -0 "$BESIDE" 2>/dev/null || join
	mkdir -p "$CACHE/logs"
	log=$(mktemp "$CACHE/logs/part.XXXXXX")
	note=$log.note
	# In the background and awaited, because bash ignores errexit inside a tested command.
	# As jobs, which are process groups, so that Ctrl-C can end all of them.
	set -m
	"$@" >"$log" 2>&1 3>"$note" </dev/null &
	pid=$!
	follow_part "$name" "$log" "$begin" &
	follower=$!
	set +m
	trap 'kill -- "-$pid" "-$follower" 2>/dev/null; exit 130' INT TERM
	wait "$pid" || status=$?
	trap - INT TERM
	kill -- "-$follower" 2>/dev/null || true
	wait "$follower" 2>/dev/null || true
	if [ "$status" != 0 ]; then
		printf '%s %-32s failed after %d s\n' "$(place)" "$name" $((SECONDS - begin))
		tail -n 40 "$log" >&2
		die "$name failed; the whole log: $log"
	fi
	printf '%s %-32s %4d s  %s\n' "$(place)" "$name" $((SECONDS - begin)) "$(cat "$note")"
	rm -f "$log" "$note"
}

# place prints where a part stands: "[ 2/23]", with the name of its series if it has one.
place() { printf '[%s%2d/%2d]' "${SERIES:+$SERIES }" "$PART" "$PARTS"; }

# follow_part NAME LOG BEGIN prints every ten seconds what the part has printed last.
follow_part() {
	while sleep 10 >/dev/null 2>&1; do
		printf '  %s, %d s so far: %s\n' "$1" $((SECONDS - $3)) "$(tail -n 1 "$2" | tr -d '\r' | cut -c1-70)"
	done
}

# cached says, inside a part, that the cache had its result.
cached() { echo cached >&3; }

BESIDE=''
# beside COMMAND… starts a command that has parts of its own and runs while this script goes on; join waits for it.
# Whatever ends this script ends the command too.
beside() {
	set -m
	"$@" </dev/null &
	BESIDE=$!
	set +m
	trap 'kill -- "-$BESIDE" 2>/dev/null' EXIT
}

# join waits for what runs beside this script, if anything does, and ends the script if that failed; it has said why.
join() {
	local status=0
	[ -n "$BESIDE" ] || return 0
	wait "$BESIDE" || status=$?
	BESIDE=''
	trap - EXIT
	[ "$status" = 0 ] || exit "$status"
}
