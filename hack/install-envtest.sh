#!/usr/bin/env bash
# Makes sure that kube-apiserver, etcd and kubectl for the integration tests are here; prints their folder, and
# on the standard error what it does. Downloaded where that is possible, else built from the node image's modules; cached either way.
. "$(dirname "$0")/lib/common.sh"
. "$ROOT/hack/lib/components.sh"

ASSETS="kube-apiserver etcd kubectl"
downloads=$CACHE/envtest
series=$(echo "$KUBERNETES_VERSION" | sed 's/^v//; s/\.[0-9]*$//').x
goos=$(go env GOOS)
goarch=$(go env GOARCH)

installed() { tool setup-envtest use "$series" --installed-only --bin-dir "$downloads" --os "$goos" --arch "$goarch" --print path 2>/dev/null; }
offered() { tool setup-envtest list "$series" --remote-only --os "$goos" --arch "$goarch"; }
download() { tool setup-envtest use "$series" --bin-dir "$downloads" --os "$goos" --arch "$goarch" --print path; }

# find_assets sets assets to the folder; what it says goes to the standard error.
find_assets() {
	assets=$CACHE/envtest/built-$(for name in $ASSETS; do component_path "$name" "$goos"; done | hash_of)
	[ ! -d "$assets" ] || return 0
	local built=$assets
	if assets=$(installed); then
		return
	fi
	if bounded 20 offered >/dev/null 2>&1 && assets=$(bounded 600 download); then
		return
	fi
	say "no test control plane can be downloaded here: building it (about 6 minutes with 2 cores and nothing cached)"
	PARTS=3
	for name in $ASSETS; do
		part "$name" build_component "$name" "$goos"
	done
	mkdir -p "$built.part.$$"
	for name in $ASSETS; do
		ln -f "$(component_path "$name" "$goos")" "$built.part.$$/$name"
	done
	mv "$built.part.$$" "$built"
	assets=$built
}

find_assets >&2
echo "$assets"
