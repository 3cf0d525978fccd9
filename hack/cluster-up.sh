#!/usr/bin/env bash
# Brings the cluster up: one control plane, two workers in two zones, a registry. Does nothing if it is up, and
# repairs it where starting its containers is enough. A cluster that was complete is never removed.
# shellcheck disable=SC2154,SC2034 # choose_node_image sets node_image and built; built-image.sh reads facts and proxy_mode
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster registry rootfs container-images preconditions built-image node-image inotify docker-side repair; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

report_up() {
	say "the cluster $CLUSTER_NAME is up (Kubernetes $(kubectl version -o json | sed -n '/serverVersion/,$s/.*"gitVersion": "\(.*\)".*/\1/p'), 3 nodes, registry localhost:$(registry_port))"
	say "use it in a shell in this folder: eval \"\$(make -s env$(cluster_argument))\""
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
facts=$(kernel_facts) || die "cannot run a container of the node image $node_image; Docker's message is above"
proxy_mode=$(choose_proxy_mode)
write_configuration
PART=0
PARTS=4
! $built || PARTS=5
docker network inspect kind >/dev/null 2>&1 || touch "$STATE/made-network"
part "registry image" build_registry_image
beside "$ROOT/hack/fill-registry.sh"
part "kind cluster of 3 nodes" create_cluster
join
part "registry seen from a node" registry_is_reachable
if $built; then connect_pods; fi
part "nodes Ready" wait_for 120 "the nodes to be Ready" nodes_are_ready
record_facts
if $built; then part "network policies" enforce_policies; fi
touch "$STATE/complete"
report_up
