#!/usr/bin/env bash
# Brings the cluster up: one control plane, two workers in two zones, a registry. Does nothing if it is up,
# repairs it where starting its containers is enough, and builds it anew otherwise.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster registry rootfs container-images preconditions built-image; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
case $NODE_IMAGE in auto | pull | build) ;; *) die "NODE_IMAGE=$NODE_IMAGE: want auto, pull or build" ;; esac

report_up() {
	say "the cluster $CLUSTER_NAME is up (Kubernetes $(kubectl version -o json | sed -n '/serverVersion/,$s/.*"gitVersion": "\(.*\)".*/\1/p'), 3 nodes, registry localhost:$REGISTRY_PORT)"
	say "use it: export KUBECONFIG=$CLUSTER_KUBECONFIG PATH=$BIN:\$PATH"
}

# repair starts what is stopped; succeeds if that was all that the cluster needed.
repair() {
	local since
	since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	[ -f "$STATE/complete" ] || return 1
	cluster_nodes | while read -r node; do docker start "$node"; done >/dev/null || return 1
	start_registry >/dev/null || return 1
	write_kubeconfig || return 1
	wait_for 90 "the kubelets of $CLUSTER_NAME to report again" kubelets_report_since "$since" &&
		wait_for 90 "the nodes of $CLUSTER_NAME to be Ready again" nodes_are_ready
}

# pullable tells whether Docker can get kind's node image: it has it, or its daemon found it within 20 s.
pullable() {
	local log=$CACHE/logs/pull.log pid begin=$SECONDS
	docker image inspect "$KIND_NODE_IMAGE" >/dev/null 2>&1 && return
	mkdir -p "$CACHE/logs"
	docker pull "$KIND_NODE_IMAGE" >"$log" 2>&1 &
	pid=$!
	until grep -q 'Pulling from' "$log"; do
		if ! kill -0 "$pid" 2>/dev/null || ((SECONDS - begin >= 20)); then
			kill "$pid" 2>/dev/null || true
			wait "$pid" 2>/dev/null || return 1
			return
		fi
		sleep 0.2
	done
	say "pulling kind's node image $KIND_NODE_IMAGE"
	while kill -0 "$pid" 2>/dev/null && ((SECONDS - begin < 1800)); do
		sleep 5
		((SECONDS - begin > 10)) && say "  pulling ($((SECONDS - begin)) s of at most 1800 s): $(tail -n 1 "$log")"
	done
	kill "$pid" 2>/dev/null || true
	wait "$pid"
}

# choose_node_image sets node_image and built.
choose_node_image() {
	if [ "$NODE_IMAGE" != build ] && pullable; then
		node_image=$KIND_NODE_IMAGE built=false
		return
	fi
	[ "$NODE_IMAGE" != pull ] || die "NODE_IMAGE=pull, but Docker cannot pull $KIND_NODE_IMAGE: $(tail -n 1 "$CACHE/logs/pull.log")"
	[ "$NODE_IMAGE" = build ] || say "no registry answers ($(tail -n 1 "$CACHE/logs/pull.log" | cut -c1-100)): building the node image"
	"$ROOT/hack/build-node-image.sh"
	node_image=$(node_image_reference) built=true
}

# write_configuration fills the state folder with what the nodes mount.
write_configuration() {
	rm -rf "$STATE"
	mkdir -p "$STATE"
	cp -R "$ROOT/config/kind/node" "$STATE/node"
	mkdir "$STATE/node/certs.d/localhost:5001"
	sed "s/@REGISTRY@/$REGISTRY_CONTAINER/" "$ROOT/config/kind/node/certs.d/hosts.toml" >"$STATE/node/certs.d/localhost:5001/hosts.toml"
	rm "$STATE/node/certs.d/hosts.toml"
	local restrict=false
	lacks_sys_resource && restrict=true
	sed -e "s#@STATE@#$STATE#; s#@DISABLE_DEFAULT_CNI@#$built#; s#@KUBE_PROXY_MODE@#$proxy_mode#; s#@RESTRICT_OOM_SCORE_ADJ@#$restrict#" \
		"$ROOT/config/kind/cluster.yaml" >"$STATE/cluster.yaml"
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
PART=0
PARTS=1 part "kubectl $KUBERNETES_VERSION" install_kubectl

if [ -n "$(cluster_nodes)" ]; then
	say "the cluster $CLUSTER_NAME exists but is not usable: $(cluster_problem)"
	if repair; then
		report_up
		exit 0
	fi
	say "building $CLUSTER_NAME anew"
	"$ROOT/hack/cluster-down.sh" --keep-docker
fi

choose_node_image
# shellcheck disable=SC2034 # built-image.sh reads it
facts=$(kernel_facts) || die "cannot run a container of the node image $node_image; Docker's message is above"
proxy_mode=$(choose_proxy_mode)
write_configuration
PART=0
PARTS=4
! $built || PARTS=5
docker network inspect kind >/dev/null 2>&1 || touch "$STATE/made-network"
part "registry image" build_registry_image
part "kind cluster of 3 nodes" create_cluster
part "registry" start_registry
if $built; then connect_pods; fi
part "nodes Ready" wait_for 120 "the nodes to be Ready" nodes_are_ready
record_facts
if $built; then part "network policies" enforce_policies; fi
touch "$STATE/complete"
report_up
