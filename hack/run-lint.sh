#!/usr/bin/env bash
# Runs golangci-lint with the Kubernetes API linter on every Go module. Arguments go to golangci-lint run.
. "$(dirname "$0")/lib/common.sh"
linter=$(cd "$ROOT" && GOWORK=off GOOS='' GOARCH='' go tool -n -modfile=go.tools.mod golangci-lint-kube-api-linter)
for module in . scheduler-plugin test/upstream hack/build-image; do
	say "lint $module"
	(cd "$ROOT/$module" && GOWORK=off "$linter" run --allow-parallel-runners --config "$ROOT/.golangci.yml" "$@" ./...) || failed="${failed:-} $module"
done
[ -z "${failed:-}" ] || die "the linters object in:$failed"
