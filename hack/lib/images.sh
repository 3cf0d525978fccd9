# shellcheck shell=bash
# The images of podtrail's parts: static binaries alone in an image, the same digest from the same source.

# push_images pushes the image of each program to the cluster's registry and leaves its digest in bin/images/NAME.digest.
push_images() {
	local name program port
	port=$(registry_port)
	mkdir -p "$BIN/images"
	for name in $OWN_IMAGES; do
		program=$(build_program "$name" 3>/dev/null)
		build_image -push -tag "localhost:$port/podtrail/$name:dev" -entrypoint "/$name" "$program=/$name" |
			sed 's/.*@//' >"$BIN/images/$name.digest"
	done
}
