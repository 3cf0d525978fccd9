#!/usr/bin/env bash
# Measures what recording costs. First without kubelets: 5,000 Pods (PODS=N) on a control plane of its own, see
# test/recorderload. Then, if the cluster is up, on kind: a Deployment of KIND_PODS Pods with all evidence (audit log,
# spans, recorders) off and on in turn, ROUNDS times: Pods per second, time to Ready, how long podtrail trail takes, and the
# recorders' CPU and memory. PODS=0 leaves the first part out, ROUNDS=0 the turns, so that PODS=0 ROUNDS=0 times podtrail
# trail alone.
. "$(dirname "$0")/lib/common.sh"
require_linux "the measurement of processor time"
for lib in docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

KIND_PODS=${KIND_PODS:-100}
ROUNDS=${ROUNDS:-3}
# How many Pods there are when podtrail trail is timed.
TRAIL_PODS=${TRAIL_PODS:-100}
# The audit policy has bodies of this namespace's Pods.
SPACE=default
# Seconds to let the nodes come to rest after a change, and after many Pods have started.
REST=15
AT_REST=60
recorders=(-n podtrail-system -l app.kubernetes.io/component=recorder)

load_without_kubelets() {
	KUBEBUILDER_ASSETS=$("$ROOT/hack/install-envtest.sh")
	export KUBEBUILDER_ASSETS
	(cd "$ROOT" && GOWORK=off go test -count=1 -timeout 30m ./test/recorderload -v -run TestLoad) || return 1
}

# switch on|off: the recorders by a node selector that no node has, which keeps their DaemonSets; the API server's audit
# log and spans, the kubelets' and containerd's spans by their settings.
switch() {
	local selector=null node name begun renewed
	[ "$1" = on ] || selector='"none"'
	for name in $(kubectl get daemonset "${recorders[@]}" -o name); do
		kubectl patch -n podtrail-system "$name" --type=merge \
			-p "{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"podtrail.dev/bench\":$selector}}}}}" >/dev/null
	done
	begun=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	renewed=$(lease_times)
	settings "$1"
	for node in $(kind get nodes --name "$CLUSTER_NAME"); do
		docker exec "$node" sh -c "sed -i 's/samplingRatePerMillion: .*/samplingRatePerMillion: $(rate "$1")/' /var/lib/kubelet/config.yaml &&
			systemctl daemon-reload && systemctl restart containerd kubelet"
	done
	restart_api_server "$begun"
	wait_for 120 "the kubelets, after their settings were changed" kubelets_report_after "$renewed"
	wait_for 120 "the nodes" nodes_are_ready
	if [ "$1" = on ]; then
		kubectl rollout status daemonset "${recorders[@]}" --timeout=180s >/dev/null
	else
		kubectl wait pod "${recorders[@]}" --for=delete --timeout=180s >/dev/null
	fi
	# Parts that lost the API server wait longer after each restart, unless they are new.
	kubectl delete pod -n podtrail-system -l 'app.kubernetes.io/component in (manager, scheduler)' --timeout=180s >/dev/null
	kubectl wait deployment -n podtrail-system --all --for=condition=Available --timeout=180s >/dev/null
	sleep "$REST"
}

# restart_api_server MARK changes the static Pod's manifest, so that the kubelet starts it anew, and waits until it has.
restart_api_server() {
	docker exec "$CLUSTER_NAME-control-plane" sh -c "cd /etc/kubernetes/manifests &&
		changed=\$(sed '/podtrail.dev\/bench/d; s|^  annotations:|&\n    podtrail.dev/bench: \"$1\"|' kube-apiserver.yaml) && printf '%s\\n' \"\$changed\" >kube-apiserver.yaml"
	wait_for 180 "the API server with its new settings" api_server_has "$1"
}

api_server_has() {
	local state
	state=$(kubectl get pod -n kube-system "kube-apiserver-$CLUSTER_NAME-control-plane" --request-timeout=3s \
		-o 'jsonpath={.metadata.annotations.podtrail\.dev/bench} {.status.containerStatuses[0].ready}') || return 1
	echo "$state"
	[ "$state" = "$1 true" ]
}

rate() { if [ "$1" = on ]; then echo 1000000; else echo 0; fi; }

# settings on|off writes the files that the nodes mount.
settings() {
	local from=$ROOT/config/kind/node to=$STATE/node
	sed "s/^samplingRatePerMillion:.*/samplingRatePerMillion: $(rate "$1")/" "$from/apiserver/tracing.yaml" >"$to/apiserver/tracing.yaml"
	if [ "$1" = on ]; then
		cp "$from/apiserver/audit-policy.yaml" "$to/apiserver/audit-policy.yaml"
		rm -f "$to/containerd.service.d/20-bench.conf"
	else
		printf 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n' >"$to/apiserver/audit-policy.yaml"
		printf '[Service]\nEnvironment=OTEL_SDK_DISABLED=true\n' >"$to/containerd.service.d/20-bench.conf"
	fi
}

# busy prints the processor time that the whole machine has used, in hundredths of a second.
busy() { awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 }' /proc/stat; }

# run_pods prints: seconds until all were Ready, Pods per second, median seconds from creation to Ready, the machine's
# processor time for each Pod.
run_pods() {
	local begun ended used
	used=$(busy)
	begun=$(date +%s%N)
	kubectl create deployment load -n "$SPACE" --image=localhost:5001/podtrail/sampleapp:dev --replicas="$KIND_PODS" >/dev/null
	kubectl rollout status -n "$SPACE" deployment/load --timeout=600s >/dev/null
	ended=$(date +%s%N)
	used=$(($(busy) - used))
	kubectl get pods -n "$SPACE" -l app=load -o json | jq -r --argjson took "$((ended - begun))" --argjson pods "$KIND_PODS" --argjson used "$used" '
		[.items[] | ((.status.conditions[] | select(.type == "Ready").lastTransitionTime | fromdate) - (.metadata.creationTimestamp | fromdate))]
		| sort | "\($took / 1e9 * 10 | round / 10) | \($pods / ($took / 1e9) * 100 | round / 100) | \(.[length / 2 | floor]) | \($used / $pods | round / 100)"'
}

remove_pods() {
	kubectl delete deployment load -n "$SPACE" --cascade=foreground --timeout=300s >/dev/null
	sleep "$REST"
}

# share_busy prints how many percent of all processors' time the machine uses without podtrail trail.
share_busy() {
	local before
	before=$(busy)
	sleep 5
	echo $((($(busy) - before) / (5 * $(nproc))))
}

# trail_times WHEN prints how busy the machine is, and the median seconds of five trails: of one Pod, and of the Deployment
# with all of them.
trail_times() {
	local share reference begun said
	share=$(share_busy)
	for reference in "$(kubectl get pods -n "$SPACE" -l app=load -o name | sed -n 1p)" deployment/load; do
		printf '| %s | %s %% | podtrail trail %s | ' "$1" "$share" "${reference%load-*}"
		for _ in 1 2 3 4 5; do
			begun=$(date +%s%N)
			said=$("$BIN/podtrail" trail "$reference" -n "$SPACE" 2>&1 >/dev/null) || die "podtrail trail $reference -n $SPACE: $said"
			echo $((($(date +%s%N) - begun) / 1000000))
		done | sort -n | awk 'NR == 3 { printf "%.2f |\n", $1 / 1000 }'
	done
}

# usage prints for each recorder its node, the seconds of CPU it has used and its memory in MB.
usage() {
	local token pod node port=24319 pid
	token=$(kubectl create token podtrail-viewer -n podtrail-system)
	kubectl get pods "${recorders[@]}" -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}' | while read -r pod node; do
		kubectl port-forward -n podtrail-system "$pod" "$port:10318" >/dev/null &
		pid=$!
		wait_for 20 "the port-forward" curl --noproxy '*' -sko /dev/null "https://127.0.0.1:$port/"
		curl --noproxy '*' -sk -H "Authorization: Bearer $token" "https://127.0.0.1:$port/metrics" | awk -v node="$node" '
			$1 == "process_cpu_seconds_total" { cpu = $2 }
			$1 == "process_resident_memory_bytes" { memory = $2 }
			/^podtrail_recorder_records_dropped_total/ { dropped += $2 }
			END { printf "| %s | %.1f | %.0f | %d |\n", node, cpu, memory / 1e6, dropped }'
		kill "$pid"
		port=$((port + 1))
	done
}

# take_turns measures with all evidence off, on, on, off, off, on …: what the machine does from one run to the next hits both
# alike, and every other switch is saved.
take_turns() {
	local mode=off switched='' run
	echo "| evidence | s until $KIND_PODS Pods are Ready | Pods per s | median s to Ready | CPU s of the machine for each Pod |"
	echo "|---|---|---|---|---|"
	run_pods >/dev/null # the first run pulls the image
	remove_pods
	for run in $(seq $((2 * ROUNDS))); do
		if [ $((run % 2)) = 0 ]; then
			[ "$mode" = off ] && mode=on || mode=off
		fi
		[ "$switched" = "$mode" ] || switch "$mode" >&2
		switched=$mode
		echo "| $mode | $(run_pods) |"
		remove_pods
	done
	[ "$mode" = on ] || switch on >&2
}

[ "${PODS:-}" = 0 ] || load_without_kubelets
if [ ! -s "$CLUSTER_KUBECONFIG" ]; then
	say "No cluster $CLUSTER_NAME: make cluster-up deploy, then again, to measure on kind as well"
	exit 0
fi
use_running_docker
export KUBECONFIG=$CLUSTER_KUBECONFIG
restore() {
	say "Switching all evidence on again"
	kubectl delete deployment load -n "$SPACE" --ignore-not-found --timeout=300s
	kubectl label namespace "$SPACE" podtrail.dev/recording-
	[ "$ROUNDS" = 0 ] || switch on >&2
}
trap restore EXIT
kubectl label --overwrite namespace "$SPACE" podtrail.dev/recording=enabled >/dev/null
[ "$ROUNDS" = 0 ] || take_turns
KIND_PODS=$TRAIL_PODS
run_pods >/dev/null
echo
echo "| with $TRAIL_PODS Pods | machine busy | command | s |"
echo "|---|---|---|---|"
trail_times 'when the last was Ready'
sleep "$AT_REST"
trail_times "$AT_REST s after that"
remove_pods
echo
echo "| node | CPU s since the recorder's start | memory MB | dropped |"
echo "|---|---|---|---|"
usage
