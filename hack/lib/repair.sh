# shellcheck shell=bash
# What becomes of a cluster that is there but not usable: repaired where starting its containers is enough, and else left
# as it is. Only the user removes it.

# reuse_cluster succeeds if the cluster can be used, fails if there is none now, and ends the script if there is one that
# cannot be used.
reuse_cluster() {
	[ -n "$(cluster_nodes)" ] || return 1
	if [ ! -f "$STATE/complete" ]; then
		say "an earlier cluster-up of $CLUSTER_NAME did not finish, so nothing of yours is in it: removing it and starting over"
		"$ROOT/hack/cluster-down.sh" --keep-docker || die "removing what is left of $CLUSTER_NAME failed. Next: make cluster-down$(cluster_argument)"
		return 1
	fi
	say "the cluster $CLUSTER_NAME is not usable: $(cluster_problem). Starting what is stopped"
	if repair; then
		return
	fi
	die "the cluster $CLUSTER_NAME could not be repaired: $(cluster_problem). It is left as it is. To start over, which deletes all that is in it: make cluster-down cluster-up$(cluster_argument)"
}

# repair starts what is stopped; succeeds if that was all that the cluster needed.
repair() {
	local before node
	for node in $(cluster_nodes); do
		docker start "$node" >/dev/null || return 1
	done
	start_registry >/dev/null && registry_is_reachable >/dev/null || return 1
	wait_for 90 "the API server of $CLUSTER_NAME to answer again" api_answers || return 1
	before=$(lease_times) || return 1
	wait_for 90 "the kubelets of $CLUSTER_NAME to report again" kubelets_report_after "$before" &&
		wait_for 90 "the nodes of $CLUSTER_NAME to be Ready again" nodes_are_ready
}

api_answers() { write_kubeconfig && lease_times >/dev/null; }
