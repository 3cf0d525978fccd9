#!/usr/bin/env bash
# Writes the outputs that documents show: each block between "<!-- output of: COMMAND -->" and "<!-- end of output -->"
# becomes what the command prints on the demo's cluster. Run after make demo.
. "$(dirname "$0")/lib/common.sh"
for lib in packages components docker cluster; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
require_cluster
export KUBECONFIG=$CLUSTER_KUBECONFIG PATH=$BIN:$PATH
cd "$ROOT"

# fill FILE prints the document with its outputs made anew.
fill() {
	local line shown=true
	while IFS= read -r line; do
		case $line in
		"<!-- output of: "*)
			shown=false
			line=${line#"<!-- output of: "}
			printf '%s\n```console\n$ %s\n' "<!-- output of: $line" "${line% -->}"
			# A refusal, exit code 1, is output as well.
			# What is told while one waits is no output.
			{ bash -c "${line% -->}" 2>&1 || [ $? = 1 ]; } | sed '/^still reading /d'
			printf '```\n<!-- end of output -->\n'
			;;
		"<!-- end of output -->") shown=true ;;
		*) if $shown; then printf '%s\n' "$line"; fi ;;
		esac
	done <"$1"
}

repository grep -l '<!-- output of: ' -- '*.md' | while read -r file; do
	fill "$file" >"$file.new"
	mv "$file.new" "$file"
	say "updated $file"
done
