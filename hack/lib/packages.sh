# shellcheck shell=bash
# Debian packages that a fresh machine may lack.

can_install_packages() { [ "$(id -u)" = 0 ] && [ "$(uname -s)" = Linux ] && command -v apt-get >/dev/null; }

# install_packages COMMAND=PACKAGE… installs, as root on Debian or Ubuntu, the packages whose command is missing
# (a package without a command is always installed); elsewhere it ends the script with what to install.
install_packages() {
	local pair missing=''
	for pair in "$@"; do
		if [ -z "${pair%%=*}" ] || ! command -v "${pair%%=*}" >/dev/null; then
			missing="$missing ${pair#*=}"
		fi
	done
	[ -n "$missing" ] || return 0
	can_install_packages || die "missing here:$missing. Install with your system's package manager, then repeat"
	say "installing from the distribution:$missing"
	mkdir -p "$CACHE/logs"
	# Run level 1: a package must not start a daemon of its own.
	# shellcheck disable=SC2086
	{ apt-get update && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } \
		>"$CACHE/logs/install-packages.log" 2>&1 || die "installing$missing failed; see $CACHE/logs/install-packages.log"
}
