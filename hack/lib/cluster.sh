# shellcheck shell=bash
# What the cluster scripts share: the nodes, their health, kubectl.
# shellcheck source=hack/lib/proxy.sh
. "$ROOT/hack/lib/proxy.sh"

# kind runs kind with Docker and its own network, whatever the user's shell says, and with what nodes need of a proxy.
kind() {
	(
		unset KIND_EXPERIMENTAL_PROVIDER KIND_EXPERIMENTAL_DOCKER_NETWORK KIND_EXPERIMENTAL_CONTAINERD_SNAPSHOTTER
		bypass_proxy
		KUBECONFIG=$CLUSTER_KUBECONFIG tool kind "$@"
	)
}

kubectl() { "$BIN/kubectl" --kubeconfig "$CLUSTER_KUBECONFIG" "$@"; }

# cluster_nodes prints the names of the node containers, running or not.
cluster_nodes() {
	docker ps --all --filter "label=io.x-k8s.kind.cluster=$CLUSTER_NAME" --format '{{.Names}}' | sort
}

# registry_port prints the port on this machine of the cluster's registry: of the one that is there, running or not,
# else of the one to be made.
registry_port() {
	local port
	port=$(docker container inspect --format '{{(index (index .HostConfig.PortBindings "5000/tcp") 0).HostPort}}' \
		"$REGISTRY_CONTAINER" 2>/dev/null) || port=''
	if is_number "$port"; then echo "$port"; else echo "$REGISTRY_PORT"; fi
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

# lease_times prints for each node "NAME TIME", when its kubelet last renewed its Lease, by the node's own clock.
lease_times() {
	kubectl get leases -n kube-node-lease --request-timeout=3s \
		-o 'jsonpath={range .items[*]}{.metadata.name} {.spec.renewTime}{"\n"}{end}'
}

# kubelets_report_after TIMES succeeds when every kubelet has renewed its Lease since lease_times printed these: Ready may
# still be what a node said before it was stopped. This machine's clock is not asked, a virtual machine's lags after sleep.
kubelets_report_after() {
	local now silent
	now=$(lease_times) || { echo "the API server does not answer" && return 1; }
	silent=$(printf '%s\n' "$1" "$now" | awk 'NF == 2 && seen[$0]++ {print $1}' | tr '\n' ' ')
	[ -z "$silent" ] || { echo "silent: $silent" && return 1; }
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

# cluster_argument prints what make needs to mean this cluster, with a blank before it.
cluster_argument() { [ "$CLUSTER_NAME" = podtrail ] || echo " CLUSTER_NAME=$CLUSTER_NAME"; }
