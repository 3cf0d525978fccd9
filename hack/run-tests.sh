#!/usr/bin/env bash
# Runs the unit tests (with the race detector in the root module) or the integration tests of all modules.
# hack/run-tests.sh unit|integration
. "$(dirname "$0")/lib/common.sh"

# packages MODULE-FOLDER prints the packages of a module with the kind of tests that was asked for.
packages() {
	(cd "$ROOT/$1" && GOWORK=off go list ./... | case $kind in
	unit) grep -Ev '/(integration|e2e)$' ;;
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
	;;
*) die "hack/run-tests.sh ${kind:-without an argument}: want unit or integration" ;;
esac
[ -z "${failed:-}" ] || die "tests failed in:$failed"
