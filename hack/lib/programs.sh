# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
# podtrail's own programs, each kept by content: a program that has been linked for one checkout is not linked again
# for the next.

# The programs in images, for the nodes; the command podtrail is for this machine.
OWN_IMAGES="manager recorder sampleapp scheduler"

# How many builds of each program are kept.
PROGRAM_BUILDS=3

# program_module NAME prints the folder of the module that the program is in; it is cmd/NAME there.
program_module() {
	case $1 in
	scheduler) echo "$ROOT/scheduler-plugin" ;;
	*) echo "$ROOT" ;;
	esac
}

program_ldflags() {
	case $1 in
	podtrail) echo "-s -w -X main.version=$PODTRAIL_VERSION" ;;
	*) echo "-s -w -X main.version=$PODTRAIL_VERSION $(kube_version_flags)" ;;
	esac
}

# program_target NAME prints the system and the architecture that the program is for, as GOOS and GOARCH assignments.
program_target() {
	case $1 in
	podtrail) echo "GOOS=$(go env GOHOSTOS) GOARCH=$(go env GOHOSTARCH)" ;;
	*) echo "GOOS=linux GOARCH=$(node_arch)" ;;
	esac
}

# program_path NAME compiles the program's packages and prints where the program that they make up lies, linked or not.
# A build ID stands for a package's content, so that together they stand for all that the linker reads.
program_path() {
	local packages key
	packages=$(cd "$(program_module "$1")" &&
		env GOWORK=off "$(program_target "$1" | cut -d' ' -f1)" "$(program_target "$1" | cut -d' ' -f2)" GOGC="${GOGC:-200}" \
			go list -deps -export -f '{{.BuildID}}' "./cmd/$1") || return 1
	key=$(echo "$packages $(program_ldflags "$1") $(program_target "$1") $(go env GOVERSION)" | hash_of)
	echo "$CACHE/programs/$1-$key/$1"
}

# link_program NAME OUTPUT compiles and links one program.
link_program() {
	(cd "$(program_module "$1")" &&
		env GOWORK=off "$(program_target "$1" | cut -d' ' -f1)" "$(program_target "$1" | cut -d' ' -f2)" GOGC="${GOGC:-200}" \
			go build -ldflags "$(program_ldflags "$1")" -o "$2" "./cmd/$1")
}

# build_program NAME makes sure, inside a part, that the program lies at program_path, and prints that path.
build_program() {
	local out
	out=$(program_path "$1") || return 1
	if [ -x "$out" ]; then
		touch "$(dirname "$out")"
		cached
		echo "$out"
		return
	fi
	mkdir -p "$(dirname "$out")"
	link_program "$1" "$out.part.$$" || return 1
	mv "$out.part.$$" "$out"
	forget_old_builds "$1"
	echo "$out"
}

# forget_old_builds NAME removes all builds of a program but the newest: nothing refers to them.
forget_old_builds() {
	# shellcheck disable=SC2012 # the names are ours: letters, digits and dashes
	ls -dt "$CACHE/programs/$1"-* | tail -n "+$((PROGRAM_BUILDS + 1))" | while read -r old; do rm -rf "$old"; done
}
