#!/usr/bin/env bash
# From nothing to two traced Pods and a refusal. Can be run again and again: it deletes the samples and creates them once more.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

title='' begin=$SECONDS times=''
# title NAME begins a section and keeps how long the one before it took.
title() {
	end_section
	title=$1 begin=$SECONDS
	printf '\n== %s\n\n' "$1"
}
end_section() { [ -z "$title" ] || times="$times
  $(printf '%4d s  %s' $((SECONDS - begin)) "$title")"; }
# show prints a command as a user would type it, then runs it.
show() {
	printf '$ %s\n' "$*"
	"$@"
}
podtrail() { KUBECONFIG=$CLUSTER_KUBECONFIG "$BIN/podtrail" "$@"; }

title "the cluster"
DEPLOY=early "$ROOT/hack/cluster-up.sh"
connect_docker
title "podtrail's parts"
"$ROOT/hack/build-programs.sh" podtrail
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
end_section

pod=$(kubectl get pods -n podtrail-demo -l app=nginx -o 'jsonpath={.items[0].metadata.name}')
cat <<END

the demo took $SECONDS s:$times

Each of these lines can be pasted. The first selects this cluster in your shell (in fish: make -s env | source); run it from
this folder. The others look at one Pod, stage by stage:

  eval "\$(make -s env)"
  podtrail trail pod/$pod -n podtrail-demo -v
  podtrail admission pod/$pod -n podtrail-demo
  podtrail schedule pod/$pod -n podtrail-demo
  podtrail run pod/$pod -n podtrail-demo

These change something, and show what became of it:

  kubectl scale trs/web -n podtrail-demo --replicas=5
  podtrail trail trs/web -n podtrail-demo
  kubectl delete pod -n podtrail-demo -l app=web
  kubectl describe trs/web -n podtrail-demo

docs/first-hour.md goes on from here. To remove the cluster:

  make cluster-down
END
