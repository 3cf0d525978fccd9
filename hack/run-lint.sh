#!/usr/bin/env bash
# Runs golangci-lint with the Kubernetes API linter on every Go module. Arguments go to golangci-lint run.
. "$(dirname "$0")/lib/common.sh"
linter=$(cd "$ROOT" && GOWORK=off GOOS='' GOARCH='' go tool -n -modfile=go.tools.mod golangci-lint-kube-api-linter)

# A cache for each checkout: golangci-lint keeps findings with absolute paths, and what it kept of a checkout
# that is gone it can neither place nor filter. Caches of checkouts that are gone go as well.
for cache in "$CACHE"/lint/*/; do
	if [ -f "$cache/checkout" ] && [ ! -d "$(cat "$cache/checkout")" ]; then
		rm -rf "$cache"
	fi
done
GOLANGCI_LINT_CACHE=$CACHE/lint/$(echo "$ROOT" | hash_of)
export GOLANGCI_LINT_CACHE
mkdir -p "$GOLANGCI_LINT_CACHE"
echo "$ROOT" >"$GOLANGCI_LINT_CACHE/checkout"

for module in . scheduler-plugin test/upstream hack/build-image; do
	say "lint $module"
	(cd "$ROOT/$module" && GOWORK=off "$linter" run --allow-parallel-runners --config "$ROOT/.golangci.yml" "$@" ./...) || failed="${failed:-} $module"
done
[ -z "${failed:-}" ] || die "the linters object in:$failed"
