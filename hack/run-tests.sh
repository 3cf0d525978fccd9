#!/usr/bin/env bash
# Runs one kind of tests of all modules: unit (with the race detector in the root module), integration (on a real
# API server and etcd), or faults (the controller behind a proxy that loses, delays and refuses what it sends,
# beside upstream's; takes minutes and prints a table).
# hack/run-tests.sh unit|integration|faults [ARGUMENTS OF THE FAULT TESTS]
. "$(dirname "$0")/lib/common.sh"

# packages MODULE-FOLDER prints the packages of a module with the kind of tests that was asked for.
packages() {
	(cd "$ROOT/$1" && GOWORK=off go list ./... | case $kind in
	unit) grep -Ev '/(integration|e2e|recorderload|test/upstream/faults)$' ;;
	integration) grep -E '/integration$' || true ;;
	esac)
}

# test_module FOLDER FLAGS… runs all of them even after a failure, so that one run shows every failure.
test_module() {
	local folder=$1 list
	shift
	list=$(packages "$folder")
	[ -n "$list" ] || return 0
	say "go test $kind: $folder"
	# shellcheck disable=SC2086
	(cd "$ROOT/$folder" && GOWORK=off go test "$@" $list) || failed="${failed:-} $folder"
}

# race_flag prints -race if the race detector can be built and started here, and else why not on the standard error.
race_flag() {
	local compiler said
	if said=$(cd "$ROOT" && go test -race -run '^$' ./test/scripts 2>&1); then
		echo -race
		return
	fi
	compiler=$(go env CC)
	if ! command -v "${compiler%% *}" >/dev/null; then
		say "no C compiler: without the race detector" >&2
	else
		say "without the race detector, which does not start here: $(printf '%s\n' "$said" | grep -Ev '^(FAIL|#)' | head -n 1)" >&2
	fi
}

# tell_missing_shells says what the tests of pasted commands leave out here: go test shows no skipped test of a green run.
tell_missing_shells() {
	local shell
	for shell in zsh fish; do
		command -v "$shell" >/dev/null || say "no $shell: what people paste into it is not tested"
	done
}

kind=${1:-}
case $kind in
unit)
	tell_missing_shells
	# The race detector needs cgo; the modules that link Kubernetes would have to compile all of it once more.
	# On macOS it needs no cgo.
	[ "$(uname -s)" = Darwin ] || CGO_ENABLED=1
	race=$(race_flag)
	[ -n "$race" ] || CGO_ENABLED=0
	# shellcheck disable=SC2086
	test_module . $race -timeout 10m
	CGO_ENABLED=0
	# Go's test cache does not see files outside of a module, such as config/scheduler.
	test_module scheduler-plugin -count=1 -timeout 10m
	test_module test/upstream -count=1 -timeout 10m
	test_module hack/build-image -timeout 10m
	;;
integration)
	KUBEBUILDER_ASSETS=$("$ROOT/hack/install-envtest.sh")
	export KUBEBUILDER_ASSETS KUBE_CACHE_MUTATION_DETECTOR=true
	test_module . -timeout 15m -v
	test_module scheduler-plugin -count=1 -timeout 15m
	# One scenario for upstream's controller and ours; make test-faults runs the cells beside it.
	(cd "$ROOT/test/upstream" && GOWORK=off go test -count=1 -timeout 15m ./faults -run TestDifferential) || failed="${failed:-} test/upstream/faults"
	;;
faults)
	shift
	KUBEBUILDER_ASSETS=$("$ROOT/hack/install-envtest.sh")
	export KUBEBUILDER_ASSETS
	(cd "$ROOT/test/upstream" && GOWORK=off go test -count=1 -timeout 60m -v ./faults "$@") || failed=faults
	;;
*) die "hack/run-tests.sh ${kind:-without an argument}: want unit, integration or faults" ;;
esac
[ -z "${failed:-}" ] || die "tests failed in:$failed"
