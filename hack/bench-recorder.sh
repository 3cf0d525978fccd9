#!/usr/bin/env bash
# Measures what recording costs. First without kubelets: 5,000 Pods (PODS=N) on a control plane of its own, see
# test/recorderload. Then, if the cluster is up, on kind: a Deployment of KIND_PODS Pods with the recorders off and on in
# turn, ROUNDS times: Pods per second, time to Ready, and the recorders' CPU and memory.
. "$(dirname "$0")/lib/common.sh"
for lib in docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

KIND_PODS=${KIND_PODS:-100}
ROUNDS=${ROUNDS:-2}
SPACE=podtrail-bench-recorder
recorders=(-n podtrail-system -l app.kubernetes.io/component=recorder)

load_without_kubelets() {
	KUBEBUILDER_ASSETS=$("$ROOT/hack/install-envtest.sh" | tee /dev/stderr | tail -n 1)
	export KUBEBUILDER_ASSETS
	(cd "$ROOT" && GOWORK=off go test -count=1 -timeout 30m ./test/recorderload -v -run TestLoad)
}

# switch on|off: a node selector that no node has takes the recorders away without removing their DaemonSets.
switch() {
	local value=null
	[ "$1" = on ] || value='"none"'
	local name
	for name in $(kubectl get daemonset "${recorders[@]}" -o name); do
		kubectl patch -n podtrail-system "$name" --type=merge \
			-p "{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"podtrail.dev/bench\":$value}}}}}" >/dev/null
	done
	if [ "$1" = on ]; then
		kubectl rollout status daemonset "${recorders[@]}" --timeout=180s >/dev/null
	else
		kubectl wait pod "${recorders[@]}" --for=delete --timeout=180s >/dev/null
	fi
}

# run_pods prints: seconds until all were Ready, Pods per second, median seconds from creation to Ready.
run_pods() {
	local begun ended
	kubectl create namespace "$SPACE" >/dev/null
	kubectl label namespace "$SPACE" podtrail.dev/recording=enabled >/dev/null
	begun=$(date +%s%N)
	kubectl create deployment load -n "$SPACE" --image=localhost:5001/podtrail/sampleapp:dev --replicas="$KIND_PODS" >/dev/null
	kubectl rollout status -n "$SPACE" deployment/load --timeout=600s >/dev/null
	ended=$(date +%s%N)
	kubectl get pods -n "$SPACE" -o json | jq -r --argjson took "$((ended - begun))" --argjson pods "$KIND_PODS" '
		[.items[] | ((.status.conditions[] | select(.type == "Ready").lastTransitionTime | fromdate) - (.metadata.creationTimestamp | fromdate))]
		| sort | "\($took / 1e9 * 10 | round / 10) | \($pods / ($took / 1e9) * 100 | round / 100) | \(.[length / 2 | floor])"'
	kubectl delete namespace "$SPACE" --wait=true --timeout=300s >/dev/null
}

# usage prints for each recorder its node, the seconds of CPU it has used and its memory in MB.
usage() {
	local token pod node port=24319 pid
	token=$(kubectl create token podtrail-viewer -n podtrail-system)
	kubectl get pods "${recorders[@]}" -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}' | while read -r pod node; do
		kubectl port-forward -n podtrail-system "$pod" "$port:10318" >/dev/null &
		pid=$!
		wait_for 20 "the port-forward" curl -sko /dev/null "https://127.0.0.1:$port/"
		curl -sk -H "Authorization: Bearer $token" "https://127.0.0.1:$port/metrics" | awk -v node="$node" '
			$1 == "process_cpu_seconds_total" { cpu = $2 }
			$1 == "process_resident_memory_bytes" { memory = $2 }
			/^podtrail_recorder_records_dropped_total/ { dropped += $2 }
			END { printf "| %s | %.1f | %.0f | %d |\n", node, cpu, memory / 1e6, dropped }'
		kill "$pid"
		port=$((port + 1))
	done
}

load_without_kubelets
if [ ! -s "$CLUSTER_KUBECONFIG" ]; then
	say "No cluster $CLUSTER_NAME: make cluster-up deploy, then again, to measure on kind as well"
	exit 0
fi
use_running_docker
trap 'switch on' EXIT
echo "| recorders | s until $KIND_PODS Pods are Ready | Pods per s | median s to Ready |"
echo "|---|---|---|---|"
run_pods >/dev/null # the first run pulls the image
for _ in $(seq "$ROUNDS"); do
	for mode in off on; do
		switch "$mode"
		echo "| $mode | $(run_pods) |"
	done
done
echo
echo "| node | CPU s since the recorder's start | memory MB | dropped |"
echo "|---|---|---|---|"
usage
