#!/usr/bin/env bash
# Builds what needs no cluster and no Docker: the tools that make a cluster (kubectl, kind, the registry) and podtrail's own
# programs. Each is kept by content in the cache; podtrail and kubectl go to bin/ as well.
# hack/build-programs.sh [podtrail]: with the argument only the podtrail command.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker container-images cluster programs; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done

# install_podtrail puts the command at bin/podtrail, under the name of a kubectl plugin too, with its completion.
install_podtrail() {
	local built
	built=$(build_program podtrail)
	mkdir -p "$BIN"
	cmp -s "$built" "$BIN/podtrail" || install -m 0755 "$built" "$BIN/podtrail"
	ln -sf podtrail "$BIN/kubectl-podtrail"
	install -m 0755 "$ROOT/hack/kubectl-complete.sh" "$BIN/kubectl_complete-podtrail"
}

if [ "${1:-}" = podtrail ]; then
	PARTS=1
	part podtrail install_podtrail
	exit
fi
# Docker may be for another architecture than Go.
use_running_docker || true
SERIES=programs
PARTS=$(($(echo "$OWN_IMAGES" | wc -w) + 4))
part "kubectl $KUBERNETES_VERSION" install_kubectl
part kind tool kind version
part registry build_component registry
part podtrail install_podtrail
for name in $OWN_IMAGES; do
	part "$name" build_program "$name"
done
