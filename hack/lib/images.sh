# shellcheck shell=bash
# The images of podtrail's parts: static binaries alone in an image, the same digest from the same source.

# push_images builds the image of each program, pushes it to the cluster's registry and leaves its digest in
# bin/images/NAME.digest. What the registry got before is not sent again.
push_images() {
	local name program port pushed
	port=$(registry_port)
	mkdir -p "$BIN/images"
	for name in $OWN_IMAGES; do
		program=$(build_program "$name" 3>/dev/null)
		pushed="$program $(docker container inspect --format '{{.Id}}' "$REGISTRY_CONTAINER")"
		if [ -s "$BIN/images/$name.digest" ] && [ "$(cat "$BIN/images/$name.$CLUSTER_NAME" 2>/dev/null)" = "$pushed" ]; then
			continue
		fi
		build_image -push -tag "localhost:$port/podtrail/$name:dev" -entrypoint "/$name" "$program=/$name" |
			sed 's/.*@//' >"$BIN/images/$name.digest"
		echo "$pushed" >"$BIN/images/$name.$CLUSTER_NAME"
	done
}
