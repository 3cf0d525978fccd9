# shellcheck shell=bash
# Proxies. Nodes get the proxy of this shell, as kind does it, or of Docker's configuration for containers; the cluster's
# own registry must be reached without it, which kind does not know.

# What Docker's configuration gives containers (~/.docker/config.json, proxies); learn_docker_proxy fills it.
DOCKER_HTTP_PROXY='' DOCKER_HTTPS_PROXY='' DOCKER_NO_PROXY=''

proxy_is_set() { [ -n "${HTTP_PROXY:-}${http_proxy:-}${HTTPS_PROXY:-}${https_proxy:-}" ]; }

# bypass_proxy exports, if there is a proxy, what kind is to give the nodes: without it they reach the registry and
# themselves. kind adds the networks, the nodes' names and Services to NO_PROXY.
bypass_proxy() {
	local names
	if ! proxy_is_set; then
		[ -n "$DOCKER_HTTP_PROXY$DOCKER_HTTPS_PROXY" ] || return 0
		export HTTP_PROXY=$DOCKER_HTTP_PROXY HTTPS_PROXY=$DOCKER_HTTPS_PROXY NO_PROXY=$DOCKER_NO_PROXY no_proxy=''
	fi
	names=${NO_PROXY:-${no_proxy:-}}
	export NO_PROXY=${names:+$names,}$REGISTRY_CONTAINER,localhost,127.0.0.1
	export no_proxy=$NO_PROXY
}

# learn_docker_proxy reads the environment of a container from its standard input: Docker's command puts into it what
# the user's configuration says.
learn_docker_proxy() {
	local line
	while IFS= read -r line; do
		case $line in
		HTTP_PROXY=*) DOCKER_HTTP_PROXY=${line#*=} ;;
		HTTPS_PROXY=*) DOCKER_HTTPS_PROXY=${line#*=} ;;
		NO_PROXY=*) DOCKER_NO_PROXY=${line#*=} ;;
		esac
	done
}

# tell_proxy says in one line that the nodes get a proxy, without a password that may be in it.
tell_proxy() {
	local from='' proxy=''
	if proxy_is_set; then
		from="this shell" proxy=${HTTP_PROXY:-${http_proxy:-${HTTPS_PROXY:-${https_proxy:-}}}}
	elif [ -n "$DOCKER_HTTP_PROXY$DOCKER_HTTPS_PROXY" ]; then
		from="Docker's configuration (${DOCKER_CONFIG:-$HOME/.docker}/config.json)" proxy=${DOCKER_HTTP_PROXY:-$DOCKER_HTTPS_PROXY}
	fi
	[ -z "$from" ] ||
		say "the nodes get the proxy $(printf '%s' "$proxy" | sed 's#//[^/@]*@#//#') of $from; each other and the registry they reach without it"
}
