#!/usr/bin/env bash
# Makes docs/recordings anew on the cluster that make deploy leaves: the samples, and a Pod for each way to fail.
# The recordings are test data too: run make replayed-docs afterwards, and read the difference.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
require_cluster
export KUBECONFIG=$CLUSTER_KUBECONFIG PATH=$BIN:$PATH
cd "$ROOT"
demo=podtrail-demo

# record NAME REFERENCE NAMESPACE writes one recording.
record() { podtrail record "$2" -n "$3" -o "docs/recordings/$1.jsonl.gz"; }

# recorded_failing NAME REFERENCE NAMESPACE writes a recording, and fails if it does not show a failure.
recorded_failing() {
	record "$1" "$2" "$3" && { podtrail replay "docs/recordings/$1.jsonl.gz" || true; } | sed -n 1p | grep "failed at"
}

# until_says SECONDS TEXT REFERENCE NAMESPACE waits until the trail's first line holds the text.
until_says() {
	local end=$((SECONDS + $1))
	# A trail that ends in a failure ends with 1.
	until { podtrail trail "$3" -n "$4" 2>&1 || true; } | sed -n 1p | grep -q "$2"; do
		[ $SECONDS -lt $end ] || die "trail of $3 does not say \"$2\" after $1 s"
		sleep 1
	done
}

clean() {
	kubectl delete --ignore-not-found --wait=true -n $demo -f config/samples/nginx-deployment.yaml -f config/samples/teachingreplicaset.yaml
	kubectl delete --ignore-not-found --wait=true -n default -f - <<<"$failing"
}

image=localhost:5001/podtrail/sampleapp:dev
pod() { # pod NAME SPEC
	printf -- '---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: default}\nspec:\n  containers:\n  - %s\n' "$1" "$2"
}
failing=$(
	pod trailtest-badimage '{name: app, image: "localhost:5001/podtrail/there-is-none:dev"}'
	pod trailtest-crash "{name: app, image: \"$image\", args: [--no-such-flag]}"
	pod trailtest-nowhere "{name: app, image: \"$image\", resources: {requests: {cpu: 1k}}}"
	cat <<-END
		---
		apiVersion: v1
		kind: ResourceQuota
		metadata: {name: trailtest-quota, namespace: default}
		spec: {hard: {limits.cpu: "0"}}
		---
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: trailtest-quota, namespace: default}
		spec:
		  replicas: 2
		  selector: {matchLabels: {app: trailtest-quota}}
		  template:
		    metadata: {labels: {app: trailtest-quota}}
		    spec:
		      containers:
		      - {name: app, image: "$image", resources: {limits: {cpu: 100m}}}
	END
)
trap clean EXIT
clean
kubectl apply -f config/samples/namespace.yaml
kubectl apply -n $demo -f config/samples/nginx-deployment.yaml
until_says 90 "3 of 3 Pods Ready" deployment/nginx-deployment $demo
sleep 3 # the recorders' last spans come in batches
record deployment deployment/nginx-deployment $demo
kubectl apply -n $demo -f config/samples/teachingreplicaset.yaml
until_says 90 "3 of 3 Pods Ready" trs/web $demo
sleep 3
record teachingreplicaset trs/web $demo
kubectl apply -n $demo -f config/samples/pod-without-limit.yaml || true # refused, as it should be
until_says 20 "refused" pod/no-limit $demo
record refused pod/no-limit $demo
# The Pods before the quota: it counts no Pod that was there before it.
kubectl apply -f - <<<"$failing" || true
until_says 60 "failed at 8 Schedule" pod/trailtest-nowhere default
record unschedulable pod/trailtest-nowhere default
until_says 60 "failed at 9 Run" pod/trailtest-badimage default
record badimage pod/trailtest-badimage default
# The kubelet may say CrashLoopBackOff, or only how the container ended.
until_says 90 "CrashLoopBackOff\|restarted" pod/trailtest-crash default
# Between two ends the container runs for a moment.
wait_for 60 "a recording in which the container is down" recorded_failing crashloop pod/trailtest-crash default
until_says 60 "failed at 5 Validate" deployment/trailtest-quota default
record quota deployment/trailtest-quota default
