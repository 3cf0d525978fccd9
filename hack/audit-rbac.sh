#!/usr/bin/env bash
# Prints which rights of podtrail's service accounts no request has used since the cluster came up, by its audit log,
# and which rights they must not have: wildcards, all Secrets, ways to other rights. Fails if the manager or the
# recorder has one. The scheduler has the API server's own roles for a scheduler, so it is only shown.
# Meaningful after a run that does all that the parts do, as make test-e2e.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
require_cluster

# The rotated files first, then the one that is written to.
audit_log() {
	docker exec "$CLUSTER_NAME-control-plane" sh -c 'cd /var/log/kubernetes/audit && cat $(ls audit-*.log 2>/dev/null) audit.log'
}

cd "$ROOT"
audit_log | GOWORK=off go run ./hack/list-unused-rights -kubeconfig "$CLUSTER_KUBECONFIG" \
	-exceptions hack/list-unused-rights/exceptions.yaml \
	-check podtrail-system/podtrail-manager,podtrail-system/podtrail-recorder \
	-show podtrail-system/podtrail-scheduler
