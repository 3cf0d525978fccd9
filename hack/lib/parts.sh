# shellcheck shell=bash
# Applies podtrail's parts, config/default, with the images that are in the cluster's registry.

# write_overlay pins the images by digest in a copy outside the tracked files. The nodes know the registry
# as localhost:5001 on every cluster.
write_overlay() {
	local name
	rm -rf "$BIN/overlay"
	mkdir -p "$BIN/overlay"
	{
		echo "apiVersion: kustomize.config.k8s.io/v1beta1"
		echo "kind: Kustomization"
		echo "resources: [../../config/default]"
		echo "images:"
		for name in manager recorder scheduler; do
			echo "  - {name: localhost:5001/podtrail/$name, digest: $(cat "$BIN/images/$name.digest")}"
		done
		echo "patches:"
		echo "  - target: {kind: Deployment, name: podtrail-manager}"
		echo "    patch: |"
		echo "      - op: replace"
		echo "        path: /spec/template/spec/containers/0/env/0"
		echo "        value: {name: SIDECAR_IMAGE, value: localhost:5001/podtrail/sampleapp@$(cat "$BIN/images/sampleapp.digest")}"
	} >"$BIN/overlay/kustomization.yaml"
}

apply_parts() { kubectl apply --server-side --force-conflicts --field-manager=podtrail-deploy -k "$BIN/overlay"; }

# apply_parts_early does the same on a control plane that is still being made, as soon as its API server answers: the
# recorder needs no Pod network, and whoever sends it spans has then hardly begun to wait between two attempts.
apply_parts_early() {
	write_overlay
	wait_for 180 "the API server of the new control plane" on_control_plane get --raw /readyz
	wait_for 30 "the API server to take podtrail's parts" apply_on_control_plane
}

apply_on_control_plane() {
	"$BIN/kubectl" kustomize "$BIN/overlay" | on_control_plane apply --server-side --force-conflicts --field-manager=podtrail-deploy -f -
}

# on_control_plane ARGS… runs the node's own kubectl: kind writes a kubeconfig only when all nodes have joined.
on_control_plane() { docker exec --interactive "$CLUSTER_NAME-control-plane" kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }
