# shellcheck shell=bash
# The cluster's own image registry: a container on the nodes' network, published on this machine's loopback.

registry_image() {
	echo "podtrail/registry:$({
		component_path registry
		cat "$ROOT/hack/node-image/registry/config.yml"
	} | hash_of)"
}

build_registry_image() {
	local archive
	build_component registry
	if docker image inspect "$(registry_image)" >/dev/null 2>&1; then
		return
	fi
	archive=$CACHE/images/registry.tar
	mkdir -p "$CACHE/images"
	build_image -tag "$(registry_image)" -user 0:0 -entrypoint /registry -output "$archive" \
		"$(component_path registry)=/registry" "$ROOT/hack/node-image/registry/config.yml=/etc/registry.yml"
	# From the standard input: a Docker from snap may not read the cache's folder.
	docker load <"$archive"
	rm "$archive"
}

# start_registry makes or starts the registry and waits until it accepts connections on this machine.
start_registry() {
	if [ -z "$(docker ps --all --quiet --filter "name=^$REGISTRY_CONTAINER\$")" ]; then
		docker run --detach --name "$REGISTRY_CONTAINER" --network kind --restart unless-stopped \
			--label "podtrail.cluster=$CLUSTER_NAME" --publish "127.0.0.1:$REGISTRY_PORT:5000" \
			--env OTEL_TRACES_EXPORTER=none "$(registry_image)" serve /etc/registry.yml
	fi
	docker start "$REGISTRY_CONTAINER"
	wait_for 20 "the registry to listen" registry_listens
}

registry_listens() { (exec 3<>"/dev/tcp/127.0.0.1/$(registry_port)"); }

# registry_is_reachable waits until a node reaches the registry: nodes are who must.
registry_is_reachable() {
	wait_for 20 "a node to reach the registry" docker exec "$CLUSTER_NAME-worker" \
		curl --silent --show-error --fail --max-time 3 "http://$REGISTRY_CONTAINER:5000/v2/"
}
