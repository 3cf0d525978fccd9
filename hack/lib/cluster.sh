# shellcheck shell=bash
# What the cluster scripts share: the nodes, their health, kubectl.

kind() { KUBECONFIG=$CLUSTER_KUBECONFIG tool kind "$@"; }

kubectl() { "$BIN/kubectl" --kubeconfig "$CLUSTER_KUBECONFIG" "$@"; }

# cluster_nodes prints the names of the node containers, running or not.
cluster_nodes() {
	docker ps --all --filter "label=io.x-k8s.kind.cluster=$CLUSTER_NAME" --format '{{.Names}}' | sort
}

# cluster_problem prints the first reason why the cluster is not usable, and nothing if it is.
cluster_problem() {
	local nodes stopped notready
	nodes=$(cluster_nodes)
	[ -n "$nodes" ] || { echo "no such cluster" && return; }
	[ -f "$STATE/complete" ] || { echo "an earlier cluster-up did not finish" && return; }
	stopped=$(docker ps --all --filter "label=io.x-k8s.kind.cluster=$CLUSTER_NAME" --filter status=exited --filter status=created --format '{{.Names}}' | tr '\n' ' ')
	[ -z "$stopped" ] || { echo "stopped: $stopped" && return; }
	[ -n "$(docker ps --quiet --filter "name=^$REGISTRY_CONTAINER\$")" ] || { echo "the registry $REGISTRY_CONTAINER does not run" && return; }
	write_kubeconfig >/dev/null 2>&1 || { echo "kind gives no kubeconfig" && return; }
	notready=$(unready_nodes) || { echo "the API server does not answer" && return; }
	[ -z "$notready" ] || echo "not Ready: $notready"
}

# unready_nodes prints the nodes whose Ready condition is not True; fails if the API server does not answer.
unready_nodes() {
	local nodes
	nodes=$(kubectl get nodes --request-timeout=3s -o 'jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' 2>&1) || {
		echo "$nodes"
		return 1
	}
	[ "$(echo "$nodes" | wc -l)" -ge 3 ] || echo "only $(echo "$nodes" | wc -l | tr -d ' ') of 3 nodes have registered "
	echo "$nodes" | sed -n '/=True$/!s/=.*//p' | tr '\n' ' '
}

nodes_are_ready() {
	local notready
	notready=$(unready_nodes) || { echo "$notready" && return 1; }
	[ -z "$notready" ] || { echo "not Ready: $notready" && return 1; }
}

# kubelets_report_since TIME (RFC 3339, UTC) succeeds when every kubelet has renewed its Lease after that time:
# Ready alone may still be what a node said before it was stopped.
kubelets_report_since() {
	local late
	late=$(kubectl get leases -n kube-node-lease -o 'jsonpath={range .items[*]}{.spec.renewTime} {.metadata.name}{"\n"}{end}' |
		awk -v since="$1" '$1 < since {print $2}' | tr '\n' ' ') || { echo "the API server does not answer" && return 1; }
	[ -z "$late" ] || { echo "silent: $late" && return 1; }
}

# require_cluster ends the script unless the cluster is up.
require_cluster() {
	use_running_docker || die "no Docker daemon runs, so the cluster $CLUSTER_NAME is not up. Next: make cluster-up"
	[ -x "$BIN/kubectl" ] || install_kubectl 3>/dev/null
	local trouble
	trouble=$(cluster_problem)
	[ -z "$trouble" ] || die "the cluster $CLUSTER_NAME is not up: $trouble. Next: make cluster-up"
}

# write_kubeconfig writes the admin's kubeconfig to a file of the cluster's own: the user's is not touched.
write_kubeconfig() {
	mkdir -p "$BIN"
	[ -s "$CLUSTER_KUBECONFIG" ] && kubectl get --raw /readyz --request-timeout=3s >/dev/null 2>&1 && return
	kind export kubeconfig --name "$CLUSTER_NAME" --kubeconfig "$CLUSTER_KUBECONFIG"
}

# install_kubectl puts a kubectl of the cluster's version at bin/kubectl.
install_kubectl() {
	local goos
	goos=$(go env GOOS)
	build_component kubectl "$goos"
	mkdir -p "$BIN"
	cmp -s "$(component_path kubectl "$goos")" "$BIN/kubectl" || install -m 0755 "$(component_path kubectl "$goos")" "$BIN/kubectl"
}
