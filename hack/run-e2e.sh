#!/usr/bin/env bash
# Runs the e2e suite on a cluster of its own, which is removed afterwards unless KEEP=1.
# Arguments go to go test, for example: hack/run-e2e.sh -ginkgo.focus=Admission
export CLUSTER_NAME=${E2E_CLUSTER_NAME:-podtrail-e2e} REGISTRY_PORT=${E2E_REGISTRY_PORT:-5002}
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

finish() {
	local status=$?
	trap - EXIT
	if [ "$status" != 0 ]; then
		dump_state || true
	fi
	if [ "${KEEP:-}" = 1 ]; then
		say "kept: eval \"\$(make -s env$(cluster_argument))\""
	else
		# Its output must not follow the test runner's closing lines.
		"$ROOT/hack/cluster-down.sh" >"$CACHE/logs/e2e-down.log" 2>&1 || warn "removing $CLUSTER_NAME failed; see $CACHE/logs/e2e-down.log"
	fi
	exit "$status"
}

dump_state() {
	use_running_docker || return 0
	kubectl get pods -A -o wide
	kubectl get events -A --sort-by=.lastTimestamp | tail -n 40
	local part
	for part in deployment/podtrail-manager deployment/podtrail-scheduler daemonset/podtrail-recorder-control-plane daemonset/podtrail-recorder-node; do
		say "--- logs of $part"
		kubectl logs -n podtrail-system "$part" --all-containers --tail=60
	done
}

install_packages curl=curl # the samples' README uses it
trap finish EXIT
DEPLOY=early "$ROOT/hack/cluster-up.sh"
"$ROOT/hack/deploy.sh"
use_running_docker
REGISTRY_PORT=$(registry_port) # a kept cluster's may be another
bypass_proxy                   # the samples' README calls curl on localhost
cd "$ROOT"
export KUBECONFIG=$CLUSTER_KUBECONFIG
GOWORK=off go test -count=1 -timeout 20m ./test/e2e -v -ginkgo.v -ginkgo.no-color "$@"
