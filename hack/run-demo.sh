#!/usr/bin/env bash
# From nothing to two traced Pods and a refusal. Can be run again and again: the samples are made anew.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

begin=$SECONDS
title() { printf '\n== %s\n\n' "$*"; }
# show prints a command as a user would type it, then runs it.
show() {
	printf '$ %s\n' "$*"
	"$@"
}
podtrail() { KUBECONFIG=$CLUSTER_KUBECONFIG "$BIN/podtrail" "$@"; }

title "the cluster"
"$ROOT/hack/cluster-up.sh"
connect_docker
title "podtrail's parts"
make --no-print-directory -C "$ROOT" build
"$ROOT/hack/deploy.sh"

title "the samples"
cd "$ROOT"
kubectl delete -k config/samples --ignore-not-found --wait --timeout=120s >/dev/null 2>&1 || true
show kubectl apply -k config/samples
kubectl rollout status -n podtrail-demo deployment/nginx-deployment --timeout=120s
kubectl wait -n podtrail-demo trs/web --for=jsonpath='{.status.readyReplicas}'=3 --timeout=120s

title "the trail of a Deployment, and of one of its Pods"
show podtrail trail deployment/nginx-deployment -n podtrail-demo

title "the trail of a TeachingReplicaSet"
show podtrail trail trs/web -n podtrail-demo

title "a Pod that is refused"
if show kubectl apply -n podtrail-demo -f config/samples/pod-without-limit.yaml; then
	die "the Pod without a CPU limit was accepted; it must be refused: kubectl get validatingwebhookconfigurations"
fi
show podtrail trail pod/no-limit -n podtrail-demo || [ $? = 1 ]

cat <<END

the demo took $((SECONDS - begin)) s. Try next:

  eval "\$(make -s env)"        # this shell's kubectl and podtrail now mean this cluster
  kubectl scale trs/web -n podtrail-demo --replicas=5 && podtrail trail trs/web -n podtrail-demo
  kubectl delete pod -n podtrail-demo -l app=web && kubectl describe trs/web -n podtrail-demo

and when you are done: make cluster-down
END
