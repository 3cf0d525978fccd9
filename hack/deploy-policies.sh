#!/usr/bin/env bash
# Puts the CEL policies of config/policy in the webhooks' place on a cluster where podtrail is deployed, or the
# webhooks back in theirs. What takes over is in force before the other goes, so that no Pod slips through.
# hack/deploy-policies.sh policies|webhooks
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster probe; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
require_cluster
[ -f "$BIN/images/sampleapp.digest" ] || die "the images are not built, so podtrail is not deployed from here. Next: make deploy"
kubectl get namespace podtrail-system >/dev/null 2>&1 || die "podtrail is not deployed to $CLUSTER_NAME. Next: make deploy"

# write_overlay gives the policies what the manager has as flags, in a copy outside the tracked files.
write_overlay() {
	rm -rf "$BIN/overlay-policy"
	mkdir -p "$BIN/overlay-policy"
	cat >"$BIN/overlay-policy/kustomization.yaml" <<-END
		apiVersion: kustomize.config.k8s.io/v1beta1
		kind: Kustomization
		resources: [../../config/policy]
		patches:
		  - target: {kind: MutatingAdmissionPolicy, name: default.pods.podtrail.dev}
		    patch: |
		      - {op: test, path: /spec/variables/0/name, value: version}
		      - {op: replace, path: /spec/variables/0/expression, value: "'$PODTRAIL_VERSION'"}
		      - {op: test, path: /spec/variables/2/name, value: sidecarImage}
		      - {op: replace, path: /spec/variables/2/expression, value: "'localhost:5001/podtrail/sampleapp@$(cat "$BIN/images/sampleapp.digest")'"}
	END
}

apply() { kubectl apply --server-side --force-conflicts --field-manager=podtrail-deploy -k "$1"; }

# changed succeeds if a new Pod carries the mutation's annotation.
changed() {
	local answer
	answer=$(create_probe '{}' '{"limits": {"cpu": "1m"}}') || { echo "$answer" && return 1; }
	[[ $answer == *podtrail.dev/injected* ]] || { echo "it was not changed" && return 1; }
}

webhooks_have_their_ca() {
	local kind
	for kind in mutating validating; do
		[ -n "$(kubectl get "${kind}webhookconfiguration" "podtrail-$kind-webhooks" -o 'jsonpath={.webhooks[0].clientConfig.caBundle}')" ] ||
			{ echo "podtrail-$kind-webhooks has no caBundle" && return 1; }
	done
}

delete_webhooks() {
	kubectl delete mutatingwebhookconfiguration/podtrail-mutating-webhooks \
		validatingwebhookconfiguration/podtrail-validating-webhooks --ignore-not-found
}

PARTS=6
case ${1:-} in
policies)
	write_overlay
	part "probe namespace" make_probe_namespace
	part "apply config/policy" apply "$BIN/overlay-policy"
	part "policies refuse" wait_for 60 "the policies to refuse a Pod without a limit" refused_by "ValidatingAdmissionPolicy"
	part "delete the webhook configurations" delete_webhooks
	part "policies change" wait_for 60 "the policies alone to change a Pod" changed
	part "delete the probe namespace" delete_probe_namespace
	say "CEL policies decide on $CLUSTER_NAME now: kubectl get mutatingadmissionpolicies,validatingadmissionpolicies; back: make deploy-webhooks"
	;;
webhooks)
	part "probe namespace" make_probe_namespace
	part "apply config/webhook" apply "$ROOT/config/webhook"
	part "webhooks have their CA" wait_for 60 "the webhook configurations to get their CA" webhooks_have_their_ca
	part "delete the policies" kubectl delete -k "$ROOT/config/policy" --ignore-not-found
	part "webhooks refuse" wait_for 60 "the webhooks to refuse a Pod without a limit" refused_by "admission webhook"
	part "delete the probe namespace" delete_probe_namespace
	say "the webhooks decide on $CLUSTER_NAME now: kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations"
	;;
*) die "hack/deploy-policies.sh ${1:-without an argument}: want policies or webhooks" ;;
esac
