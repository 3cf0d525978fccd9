#!/usr/bin/env bash
# Checks that everything generated, formatted, pinned and documented is as the sources say. Writes nothing:
# what would be generated is generated into a copy and compared.
. "$(dirname "$0")/lib/common.sh"
. "$ROOT/hack/lib/packages.sh"
cd "$ROOT"

failed=''
# check NAME COMMAND… runs one check; all of them run, so that one run shows every failure.
check() {
	local name=$1 begin=$SECONDS log status=0
	shift
	log=$(mktemp)
	"$@" >"$log" 2>&1 &
	wait $! || status=$?
	if [ "$status" = 0 ]; then
		printf '✓ %-28s %3d s\n' "$name" $((SECONDS - begin))
	else
		printf '✗ %-28s %3d s\n' "$name" $((SECONDS - begin))
		tail -n 60 "$log" | sed 's/^/    /'
		failed="$failed $name"
	fi
	rm "$log"
}

# in_copy COMMAND… runs the command in a copy of the tree and shows what it changed. For check, which gives it a shell of
# its own.
in_copy() {
	local copy
	copy=$(mktemp -d)
	# shellcheck disable=SC2064
	trap "rm -rf '$copy'" EXIT
	copy_to "$copy"
	cd "$copy"
	unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
	git init --quiet .
	git add --all
	"$@"
	git --no-pager diff --exit-code
	[ -z "$(git ls-files --others --exclude-standard)" ] || { git ls-files --others --exclude-standard && return 1; }
}

generated_files() { in_copy make --no-print-directory generate manifests; }
formatting() {
	local unformatted
	unformatted=$(repository ls-files '*.go' | xargs gofmt -l -s)
	[ -z "$unformatted" ] || { echo "not formatted, run make fmt: $unformatted" && return 1; }
	# shellcheck disable=SC2046
	tool shfmt -d $(hack/list-scripts.sh)
}
# shellcheck disable=SC2046
shell_scripts() { shellcheck --external-sources $(hack/list-scripts.sh); }
tidy_modules() {
	local module untidy=''
	for module in . scheduler-plugin test/upstream hack/build-image hack/node-image/*/; do
		[ -f "$module/go.mod" ] || continue
		echo "$module"
		(cd "$module" && GOWORK=off go mod tidy -diff) || untidy="$untidy $module"
	done
	[ -z "$untidy" ] || { echo "not tidy:$untidy" && return 1; }
}
licences() {
	local without
	without=$(repository ls-files '*.go' | xargs grep -L '^// SPDX-License-Identifier: Apache-2.0$' || true)
	[ -z "$without" ] || { echo "without the licence line: $without" && return 1; }
}

# lint runs the linters in a copy whose path is the same for all checkouts, one at a time: what they and Go keep in their
# caches goes by path, and a fresh clone would be linted from nothing, which takes five minutes.
lint() {
	local copy=$CACHE/lint/copy
	mkdir -p "$copy"
	if kill -0 "$(cat "$copy.pid" 2>/dev/null)" 2>/dev/null; then
		echo "another checkout is being linted"
		hack/run-lint.sh
		return
	fi
	sh -c 'echo "$PPID"' >"$copy.pid"
	# shellcheck disable=SC2064
	trap "rm -f '$copy.pid'" EXIT
	rm -rf "$copy"
	mkdir -p "$copy"
	copy_to "$copy"
	"$copy/hack/run-lint.sh"
}

install_packages shellcheck=shellcheck
check "generated files" generated_files
check "formatting" formatting
check "licences" licences
check "shell scripts" shell_scripts
check "workflow" tool actionlint
check "tidy modules" tidy_modules
check "pinned versions" hack/verify-versions.sh
check "documentation" env GOWORK=off go test -count=1 ./test/docs
check "reproducible images" hack/verify-images.sh
check "go vet" make --no-print-directory vet
check "lint" lint
[ -z "$failed" ] || die "failed:$failed"
