# shellcheck shell=bash
# The images of podtrail's parts: static binaries alone in an image, the same digest from the same source.

# push_own_image NAME FOLDER pushes the image of one program and leaves its digest in FOLDER/NAME.digest.
push_own_image() {
	local name=$1 folder=$2 program
	program=$(build_program "$name")
	build_image -push -tag "localhost:$REGISTRY_PORT/podtrail/$name:dev" -entrypoint "/$name" "$program=/$name" |
		sed 's/.*@//' >"$folder/$name.digest"
}
