#!/usr/bin/env bash
# Builds and pushes podtrail's images, applies config/default to the cluster and waits until every part is ready.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster parts probe; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
require_cluster
"$ROOT/hack/build-images.sh"

ca_bundles_are_set() {
	local kind bundle
	for kind in mutating validating; do
		bundle=$(kubectl get "${kind}webhookconfiguration" "podtrail-$kind-webhooks" -o 'jsonpath={.webhooks[*].clientConfig.caBundle}')
		[ -n "$bundle" ] || { echo "podtrail-$kind-webhooks has no caBundle" && return 1; }
	done
}

# leaders_are_elected: a scheduler or a manager that is ready but does not lead does nothing.
leaders_are_elected() {
	local part holder
	for part in scheduler manager; do
		holder=$(kubectl get lease "podtrail-$part" -n podtrail-system -o 'jsonpath={.spec.holderIdentity}')
		[ -n "$holder" ] || { echo "nobody holds the Lease podtrail-$part" && return 1; }
		kubectl get pod "${holder%%_*}" -n podtrail-system -o name >/dev/null || return 1
	done
}

# webhooks_answer: a replica that is ready can't be reached by the Service's address until kube-proxy has heard of it.
webhooks_answer() {
	make_probe_namespace
	wait_for 60 "the webhooks to refuse a Pod without a limit" always_refused_by " denied "
	delete_probe_namespace
}

# evidence_arrives: an exporter that found no recorder tries ever more rarely; until each has come back, trails lack what it
# would have sent.
evidence_arrives() { KUBECONFIG=$CLUSTER_KUBECONFIG "$BIN/podtrail" doctor --wait "${EVIDENCE_WAIT_SECONDS}s"; }

# What an exporter waits between two attempts at the most (gRPC's back-off), and the time of one export.
EVIDENCE_WAIT_SECONDS=150

PARTS=9
write_overlay
part "apply config/default" apply_parts
part "CRD established" kubectl wait --for=condition=Established --timeout=30s crd/teachingreplicasets.apps.podtrail.dev
part "recorder on every node" kubectl rollout status -n podtrail-system daemonset -l app.kubernetes.io/component=recorder --timeout=120s
part "scheduler ready" kubectl rollout status -n podtrail-system deployment/podtrail-scheduler --timeout=120s
part "manager ready" kubectl rollout status -n podtrail-system deployment/podtrail-manager --timeout=120s
part "webhook certificates in place" wait_for 60 "the webhook configurations to get their CA" ca_bundles_are_set
part "leaders elected" wait_for 60 "the scheduler and the manager to lead" leaders_are_elected
part "webhooks answer" webhooks_answer
part "evidence from every node" evidence_arrives
say "podtrail is deployed to $CLUSTER_NAME: kubectl get pods -n podtrail-system"
