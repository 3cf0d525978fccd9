# shellcheck shell=bash
# The images of podtrail's parts: static binaries alone in an image, the same digest from the same source.

# push_images builds the image of each program, pushes it to the cluster's registry and leaves its digest in
# bin/images/NAME.digest. What the registry got before is not sent again.
push_images() {
	local name port registry jobs=''
	port=$(registry_port)
	registry=$(docker container inspect --format '{{.Id}}' "$REGISTRY_CONTAINER" 2>/dev/null) || registry=none
	mkdir -p "$BIN/images"
	for name in $OWN_IMAGES; do
		push_image "$name" "$port" "$registry" 3>/dev/null &
		jobs="$jobs $!"
	done
	for name in $jobs; do wait "$name" || return 1; done
}

# push_image NAME PORT REGISTRY does it for one image and the registry with that container id.
push_image() {
	local name=$1 program pushed
	program=$(build_program "$name") || return 1
	pushed="$program $3"
	if [ -s "$BIN/images/$name.digest" ] && [ "$(cat "$BIN/images/$name.$CLUSTER_NAME" 2>/dev/null)" = "$pushed" ]; then
		return
	fi
	build_image -push -tag "localhost:$2/podtrail/$name:dev" -entrypoint "/$name" "$program=/$name" |
		sed 's/.*@//' >"$BIN/images/$name.digest" || return 1
	echo "$pushed" >"$BIN/images/$name.$CLUSTER_NAME"
}
