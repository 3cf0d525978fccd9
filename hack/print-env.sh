#!/usr/bin/env bash
# Prints the shell lines that select the cluster, for bash and zsh (eval "$(make -s env)") and fish (make -s env | source).
. "$(dirname "$0")/lib/common.sh"

# quoted prints its argument so that all three shells read it back, blanks and quotes included.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

printf 'export KUBECONFIG=%s\n' "$(quoted "$CLUSTER_KUBECONFIG")"
# In double quotes, where fish joins the folders of PATH by colons as the others have them.
# shellcheck disable=SC2016 # for the shell that reads it
printf 'export PATH=%s:"$PATH"\n' "$(quoted "$BIN")"

for file in "$CLUSTER_KUBECONFIG" "$BIN/podtrail"; do
	[ -e "$file" ] || warn "$file does not exist yet. Next: make demo"
done
