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

kind=${1:-}
case $kind in
unit)
	# The race detector needs cgo; the modules that link Kubernetes would have to compile all of it once more.
	CGO_ENABLED=1 test_module . -race -timeout 10m
	# Go's test cache does not see files outside of a module, such as config/scheduler.
	test_module scheduler-plugin -count=1 -timeout 10m
	test_module test/upstream -count=1 -timeout 10m
	;;
integration)
	KUBEBUILDER_ASSETS=$("$ROOT/hack/install-envtest.sh" | tee /dev/stderr | tail -n 1)
	export KUBEBUILDER_ASSETS KUBE_CACHE_MUTATION_DETECTOR=true
	test_module . -timeout 15m -v
	test_module scheduler-plugin -count=1 -timeout 15m
	# One scenario for upstream's controller and ours; make test-faults runs the cells beside it.
	(cd "$ROOT/test/upstream" && GOWORK=off go test -count=1 -timeout 15m ./faults -run TestDifferential) || failed="${failed:-} test/upstream/faults"
	;;
faults)
	shift
	KUBEBUILDER_ASSETS=$("$ROOT/hack/install-envtest.sh" | tee /dev/stderr | tail -n 1)
	export KUBEBUILDER_ASSETS
	(cd "$ROOT/test/upstream" && GOWORK=off go test -count=1 -timeout 60m -v ./faults "$@") || failed=faults
	;;
*) die "hack/run-tests.sh ${kind:-without an argument}: want unit, integration or faults" ;;
esac
[ -z "${failed:-}" ] || die "tests failed in:$failed"
