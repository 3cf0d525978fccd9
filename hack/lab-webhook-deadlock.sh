#!/usr/bin/env bash
# A lab: a careless webhook locks the cluster up, what the API server says, and the way out. It takes about a minute
# and leaves the cluster as it was, also after Ctrl-C; should this shell be killed, a process of its own removes the
# webhook within three minutes. PACE=slow waits for Enter after each step.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

LAB=config/labs/webhook-deadlock
NAMESPACE=lab-webhook-deadlock
CONFIGURATION=validatingwebhookconfiguration/lab-webhook-deadlock
STEP=0
CHILD='' WATCHDOG=''

step() {
	if [ "${PACE:-}" = slow ] && [ "$STEP" != 0 ]; then
		printf '\n(Enter to go on) '
		read -r
	fi
	STEP=$((STEP + 1))
	printf '\n== %d. %s\n\n' "$STEP" "$1"
}

# await runs a command as a process group of its own, so that a signal interrupts the wait and restore can end it.
await() {
	local status=0
	set -m
	"$@" &
	CHILD=$!
	set +m
	wait "$CHILD" || status=$?
	CHILD=''
	return "$status"
}

# show prints a command as a user would type it, then runs it.
show() {
	printf '$ %s\n' "$*"
	await "$@"
}

# refused shows a command that must fail.
refused() {
	if show "$@"; then
		die "this should have been refused; is the webhook configuration there? kubectl get validatingwebhookconfigurations"
	fi
}

remove_webhook() { kubectl delete "$CONFIGURATION" --ignore-not-found --request-timeout=10s; }
remove_namespace() { kubectl delete namespace "$NAMESPACE" --ignore-not-found --wait --timeout=60s; }

# restore takes away all that the lab made, the webhook first. A second Ctrl-C does not stop it.
restore() {
	local status=$?
	trap '' INT TERM HUP
	trap - EXIT
	# Ended and gone before anything is removed: it may be about to make what is removed.
	if [ -n "$CHILD" ]; then
		kill -- "-$CHILD" 2>/dev/null || true
		wait "$CHILD" 2>/dev/null || true
	fi
	printf '\n== restoring the cluster\n\n'
	if ! wait_for 60 "the API server to delete the webhook configuration" remove_webhook || ! remove_namespace; then
		[ "$status" != 0 ] || status=1
		warn "not everything could be removed. Next: kubectl delete $CONFIGURATION; kubectl delete namespace $NAMESPACE"
	else
		say "the webhook configuration and the namespace $NAMESPACE are gone; nothing else was changed"
	fi
	[ -z "$WATCHDOG" ] || kill -- "-$WATCHDOG" 2>/dev/null || true
	exit "$status"
}

# start_watchdog removes the webhook should this shell be killed. In a process group of its own: Ctrl-C does not reach it.
start_watchdog() {
	set -m
	(
		sleep 180
		remove_webhook
	) </dev/null >/dev/null 2>&1 &
	WATCHDOG=$!
	set +m
}

why_no_pod() {
	kubectl get events -n "$NAMESPACE" --field-selector=reason=FailedCreate -o 'jsonpath={.items[-1:].message}'
}

blocked_by_itself() { why_no_pod | grep 'failed calling webhook' || { echo "no such event yet" && return 1; }; }

require_cluster
cd "$ROOT"
# In one place for both: EXIT alone would not run on a signal while a command is waited for.
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cat <<END
This lab puts one careless webhook into the cluster $CLUSTER_NAME and takes it out again. It makes the namespace
$NAMESPACE and one ValidatingWebhookConfiguration, and removes both at the end or when you press Ctrl-C.
The commands are shown as you would type them: eval "\$(make -s env)"
END

# What an earlier run may have left that could not even be interrupted.
remove_webhook >/dev/null
remove_namespace >/dev/null 2>&1

step "A webhook server starts. All is well."
show kubectl apply -f $LAB/server.yaml
show kubectl rollout status -n $NAMESPACE deployment/careless --timeout=60s

step "Its configuration: every Pod of the cluster, failurePolicy Fail, no selectors."
show cat $LAB/webhook.yaml
start_watchdog
# Its server goes away in the same moment, as when a node is drained.
show kubectl scale -n $NAMESPACE deployment/careless --replicas=0
await kubectl wait -n $NAMESPACE pod -l app=careless --for=delete --timeout=60s >/dev/null
show kubectl apply -f $LAB/webhook.yaml
await sleep 1 # until the API server has read the configuration

step "Now no Pod can be made, in no namespace. Read what the API server says: which webhook, and why."
refused kubectl run hello -n default --image=localhost:5001/podtrail/sampleapp:dev --dry-run=server
refused kubectl run hello -n kube-system --image=localhost:5001/podtrail/sampleapp:dev --dry-run=server

step "The deadlock: the webhook's own Pod needs the webhook."
show kubectl scale -n $NAMESPACE deployment/careless --replicas=1
await wait_for 30 "the ReplicaSet to say why it has no Pod" blocked_by_itself >/dev/null
show kubectl get deployment,replicaset,pods -n $NAMESPACE
echo
show kubectl get events -n $NAMESPACE --field-selector=reason=FailedCreate
cat <<END

It will not heal by itself. What runs goes on running, so a cluster can stay in this state for days unnoticed,
until a node is drained or a Pod is evicted.
END

step "The way out: the API server asks no webhook about webhook configurations, so this always works."
show kubectl delete $CONFIGURATION
echo
echo "The ReplicaSet controller tries again by itself, after a pause that has grown with each failure:"
show kubectl rollout status -n $NAMESPACE deployment/careless --timeout=90s

step "How to write one that cannot do this: config/webhook/validating.yaml"
cat <<END
  namespaceSelector   only namespaces that opted in; never kube-system, never the webhook's own
  rules               only the operations and resources that the rule is about
  matchConditions     what needs no answer is not asked (here: Pods of the kubelets)
  timeoutSeconds: 3   a server that hangs costs 3 s and not 10
  failurePolicy: Fail only because all of the above is narrow
  two replicas        spread over nodes, a PodDisruptionBudget, ready only with a certificate that is trusted
See it on this cluster: scale podtrail's webhooks to 0, and everything outside of podtrail-demo still starts:

  kubectl scale -n podtrail-system deployment/podtrail-manager --replicas=0
  kubectl run hello --image=localhost:5001/podtrail/sampleapp:dev
  kubectl scale -n podtrail-system deployment/podtrail-manager --replicas=2
END
