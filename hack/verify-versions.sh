#!/usr/bin/env bash
# Checks that the versions in hack/versions.sh, the modules, the documents and kind itself agree.
. "$(dirname "$0")/lib/common.sh"
. "$ROOT/hack/lib/node-image.sh"
cd "$ROOT"
wrong=0
same() { # WHAT WANT HAVE
	if [ "$2" != "$3" ]; then
		say "$1: want ${2:-none}, have ${3:-nothing}"
		wrong=1
	fi
}
# unpacked MODULE prints the folder of a module that the present one requires; on a fresh machine it is downloaded first.
unpacked() { GOWORK=off go mod download "$1" && GOWORK=off go list -m -f '{{.Dir}}' "$1"; }
requires() { (cd "$1" && GOWORK=off go list -m -f '{{.Version}}' "$2"); }

library=v0.${KUBERNETES_VERSION#v1.}
same "k8s.io/client-go in go.mod" "$library" "$(requires . k8s.io/client-go)"
for module in scheduler-plugin test/upstream hack/node-image/kubernetes; do
	same "k8s.io/kubernetes in $module/go.mod" "$KUBERNETES_VERSION" "$(requires "$module" k8s.io/kubernetes)"
	while read -r name _ _ version; do
		same "replaced $name in $module/go.mod" "$library" "$version"
	done < <(grep '^	k8s.io/.* => k8s.io/' "$module/go.mod")
done
same "CoreDNS in hack/node-image/coredns/go.mod" "$COREDNS_VERSION" "$(requires hack/node-image/coredns github.com/coredns/coredns)"
same "etcd in hack/node-image/etcd/go.mod" "v${ETCD_IMAGE_VERSION%%-*}" "$(requires hack/node-image/etcd go.etcd.io/etcd/server/v3)"

# What Kubernetes' client is built from must be the same everywhere: Go compiles it once for each set of versions, which
# takes a minute of two processors.
client_libraries() {
	(cd "$1" && GOWORK=off go list -deps -f '{{with .Module}}{{.Path}} {{.Version}} {{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}{{end}}' \
		k8s.io/client-go/kubernetes k8s.io/client-go/tools/cache | sort -u)
}
want_libraries=$(client_libraries .)
for module in scheduler-plugin test/upstream hack/node-image/kubernetes hack/node-image/coredns hack/node-image/local-path; do
	same "libraries of k8s.io/client-go in $module/go.mod that podtrail has (<) and it has (>) in another version" "" \
		"$(diff <(echo "$want_libraries") <(client_libraries "$module"))"
done

kind_default=$(GOFLAGS="$GOFLAGS -modfile=go.tools.mod" unpacked sigs.k8s.io/kind)/pkg/apis/config/defaults/image.go
kind_image=$(sed -n 's/^const Image = "\(.*\)"$/\1/p' "$kind_default")
of_same_minor "$KIND_NODE_IMAGE" "$kind_image" ||
	same "kind's node image" "one with a digest, of the same Kubernetes minor as kind's default $kind_image" "$KIND_NODE_IMAGE"

kubeadm_constants=$(cd hack/node-image/kubernetes && unpacked k8s.io/kubernetes)/cmd/kubeadm/app/constants/constants.go
for pair in "PauseVersion $PAUSE_VERSION" "DefaultEtcdVersion $ETCD_IMAGE_VERSION" "CoreDNSVersion $COREDNS_VERSION"; do
	same "kubeadm's ${pair%% *}" "${pair#* }" "$(sed -n "s/^[[:space:]]*${pair%% *} *= *\"\(.*\)\"$/\1/p" "$kubeadm_constants")"
done
grep -q "Kubernetes ${KUBERNETES_VERSION#v}" README.md || same "Kubernetes version in README.md" "${KUBERNETES_VERSION#v}" ""
exit $wrong
