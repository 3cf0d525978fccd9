# shellcheck shell=bash disable=SC2154 # cluster-up.sh sets node_image, built, facts and proxy_mode
# What kind's own node image brings and a built one gets from here: kube-proxy's mode, routes between the nodes' Pods,
# a network policy engine; and what cluster-up found out about the kernel.

# kernel_facts prints what probe-kernel.sh finds out in a container of the node image, one NAME=ANSWER a line.
kernel_facts() {
	docker run --rm --interactive --network none --cap-add NET_ADMIN --entrypoint sh "$node_image" <"$ROOT/hack/node-image/probe-kernel.sh"
}

# kernel_fact NAME prints the answer to one of them: "yes", or "no: " and why.
kernel_fact() { echo "$facts" | sed -n "s/^$1=//p"; }

# choose_proxy_mode prints kube-proxy's mode: iptables, which is kind's default, where the kernel has all that it needs.
# kind's own image keeps the default: what its users' kernels need is for kind to know.
choose_proxy_mode() {
	local answer
	answer=$(kernel_fact iptables)
	if ! $built || [ "$answer" = yes ]; then
		echo iptables
		return
	fi
	echo nftables
	say "kube-proxy runs in nftables mode here, not in iptables mode as with kind's own image: this kernel refuses its rules (${answer#no: })" >&2
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

# record_facts leaves in the cluster what cluster-up found out: tests that need one of these facts read them there.
record_facts() {
	kubectl create configmap podtrail-cluster -n kube-system --dry-run=client -o yaml \
		--from-literal=builtNodeImage="$built" --from-literal=kubeProxyMode="$proxy_mode" \
		--from-literal=kernelIptables="$(kernel_fact iptables)" --from-literal=kernelNftablesQueue="$(kernel_fact queue)" |
		kubectl apply --server-side --field-manager=podtrail-cluster-up -f - >/dev/null
}

network_policies_image() {
	echo "localhost/podtrail/kube-network-policies:$(module_version network-policies sigs.k8s.io/kube-network-policies)"
}

# enforce_policies installs the network policy engine on the nodes of a built image, where the kernel lets it work.
enforce_policies() {
	[ "$(kernel_fact queue)" = yes ] || return 0
	install_network_policies
	kubectl rollout status -n kube-system daemonset/kube-network-policies --timeout=120s
}

# install_network_policies builds the engine's image, loads it into each node and applies its manifest.
install_network_policies() {
	local archive=$CACHE/images/network-policies.$$.tar node
	build_component kube-network-policies
	build_image -tag "$(network_policies_image)" -user 0:0 -entrypoint /kube-network-policies -output "$archive" \
		"$(component_path kube-network-policies)=/kube-network-policies"
	for node in $(cluster_nodes); do
		docker exec --interactive "$node" ctr --namespace k8s.io images import --label=io.cri-containerd.pinned=pinned --digests - <"$archive"
	done
	rm "$archive"
	network_policies_manifest | kubectl apply --server-side --field-manager=podtrail-cluster-up -f -
}

network_policies_manifest() { sed "s#@IMAGE@#$(network_policies_image)#" "$ROOT/config/kind/network-policies.yaml"; }
