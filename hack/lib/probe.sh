# shellcheck shell=bash
# Asks a cluster's admission about Pods that are never stored, in a namespace of its own that has opted in.

# make_probe_namespace begins with none: one that an earlier run has left may be about to go.
make_probe_namespace() {
	kubectl delete namespace podtrail-probe --ignore-not-found --wait --timeout=60s
	kubectl apply --server-side --field-manager=podtrail-deploy -f - <<-END
		{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "podtrail-probe", "labels": {"podtrail.dev/admission": "enabled"}}}
	END
}

# create_probe LABELS RESOURCES asks for a Pod with these, as JSON. Nothing is stored.
create_probe() {
	kubectl create --dry-run=server -n podtrail-probe -o yaml -f - <<-END 2>&1
		{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": $1},
		 "spec": {"containers": [{"name": "probe", "image": "i", "resources": $2}]}}
	END
}

# refused_by WORDS succeeds if a Pod without a limit is refused now, by whom the words name. The Pod opts out of the
# mutation, so that no answer is waited for from a manager that is away.
refused_by() {
	local answer
	! answer=$(create_probe '{"podtrail.dev/admission": "disabled"}' '{}') || { echo "it was not refused" && return 1; }
	[[ $answer == *"$1"* ]] || { echo "$answer" && return 1; }
}

# always_refused_by WORDS succeeds if each of a few Pods is refused so: behind the Service stand several replicas.
always_refused_by() {
	local _
	for _ in 1 2 3 4 5; do
		refused_by "$1" || return 1
	done
}

delete_probe_namespace() { kubectl delete namespace podtrail-probe --ignore-not-found --wait=false; }
