#!/usr/bin/env bash
# Brings the cluster up: one control plane, two workers in two zones, a registry. Does nothing if it is up, and
# repairs it where starting its containers is enough. A cluster that was complete is never removed.
# shellcheck disable=SC2154 # choose_node_image sets node_image and built
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster registry rootfs container-images preconditions node-image inotify docker-side repair; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

report_up() {
	say "the cluster $CLUSTER_NAME is up (Kubernetes $(kubectl version -o json | sed -n '/serverVersion/,$s/.*"gitVersion": "\(.*\)".*/\1/p'), 3 nodes, registry localhost:$(registry_port))"
	say "use it: export KUBECONFIG=$CLUSTER_KUBECONFIG PATH=$BIN:\$PATH"
}

# connect_pods gives a built image's nodes what kind's own CNI would: a configuration for each node and
# routes to the others' Pods.
connect_pods() {
	local cidrs node
	wait_for 60 "each node to get a Pod CIDR" have_pod_cidrs
	cidrs=$(kubectl get nodes -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDR}{"\n"}{end}')
	for node in $(cluster_nodes); do
		sed "s#@POD_CIDR@#$(echo "$cidrs" | awk -v node="$node" '$1 == node {print $2}')#" "$ROOT/config/kind/ptp.conflist" |
			docker exec --interactive "$node" tee /etc/cni/net.d/10-podtrail.conflist >/dev/null
		echo "$cidrs" | grep -v "^$node " | docker exec --interactive "$node" sh -c 'mkdir -p /etc/podtrail && cat > /etc/podtrail/peers'
		docker exec "$node" systemctl restart podtrail-routes.service
	done
}

have_pod_cidrs() {
	local have
	have=$(kubectl get nodes -o 'jsonpath={.items[*].spec.podCIDR}')
	[ "$(echo "$have" | wc -w)" -eq 3 ] || { echo "Pod CIDRs: ${have:-none}" && return 1; }
}

create_cluster() {
	kind create cluster --name "$CLUSTER_NAME" --image "$node_image" --config "$STATE/cluster.yaml" --kubeconfig "$CLUSTER_KUBECONFIG"
}

if use_running_docker && [ -f "$STATE/complete" ] && command -v go >/dev/null; then
	[ -x "$BIN/kubectl" ] || PARTS=1 part "kubectl $KUBERNETES_VERSION" install_kubectl
	trouble=$(cluster_problem)
	if [ -z "$trouble" ]; then
		report_up
		exit 0
	fi
fi
check_preconditions
connect_docker
if [ -n "$(cluster_nodes)" ] && [ ! -x "$BIN/kubectl" ]; then
	PARTS=1 part "kubectl $KUBERNETES_VERSION" install_kubectl
fi
if reuse_cluster; then
	report_up
	exit 0
fi

# Everything that can be built is built before the cluster starts: the API server, the kubelets and containerd try ever
# more rarely to send their spans, so the recorder should stand within seconds of their start.
beside "$ROOT/hack/build-programs.sh"
choose_node_image
join
write_configuration
PART=0
PARTS=4
docker network inspect kind >/dev/null 2>&1 || touch "$STATE/made-network"
part "registry image" build_registry_image
beside "$ROOT/hack/start-registry.sh"
part "kind cluster of 3 nodes" create_cluster
join
part "registry seen from a node" registry_is_reachable
if $built; then connect_pods; fi
part "nodes Ready" wait_for 120 "the nodes to be Ready" nodes_are_ready
touch "$STATE/complete"
report_up
