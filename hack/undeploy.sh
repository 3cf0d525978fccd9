#!/usr/bin/env bash
# Takes podtrail out of the cluster, what admits first, so that nothing is refused on the way.
# TeachingReplicaSets go with their CRD, and their Pods with them.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
require_cluster

delete_admission() {
	kubectl delete mutatingwebhookconfiguration/podtrail-mutating-webhooks \
		validatingwebhookconfiguration/podtrail-validating-webhooks --ignore-not-found
	kubectl delete -k "$ROOT/config/policy" --ignore-not-found
}

PARTS=3
part "webhooks and policies" delete_admission
part "custom resource definition" kubectl delete -k "$ROOT/config/crd" --ignore-not-found --timeout=120s
part "everything else" kubectl delete -k "$ROOT/config/default" --ignore-not-found --timeout=180s
say "podtrail is gone from $CLUSTER_NAME; the samples' namespace stays: kubectl delete namespace podtrail-demo"
