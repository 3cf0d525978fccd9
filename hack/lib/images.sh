# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
# The images of podtrail's own parts: static binaries alone in an image, the same digest from the same source.

OWN_IMAGES="manager recorder sampleapp scheduler"

# own_image_module NAME prints the folder of the module that the image's program is in; it is cmd/NAME there.
own_image_module() {
	case $1 in
	scheduler) echo "$ROOT/scheduler-plugin" ;;
	*) echo "$ROOT" ;;
	esac
}

# build_program NAME OUTPUT compiles one program for the nodes.
build_program() {
	local arch
	arch=$(node_arch)
	(cd "$(own_image_module "$1")" && GOWORK=off GOOS=linux GOARCH=$arch go build \
		-ldflags "-s -w -X main.version=$PODTRAIL_VERSION $(kube_version_flags)" -o "$2" "./cmd/$1")
}

# push_own_image NAME builds and pushes one image and leaves its digest in FOLDER/NAME.digest.
push_own_image() {
	local name=$1 folder=$2 port
	port=$(registry_port)
	build_program "$name" "$folder/$name"
	build_image -push -tag "localhost:$port/podtrail/$name:dev" -entrypoint "/$name" "$folder/$name=/$name" |
		sed 's/.*@//' >"$folder/$name.digest"
	rm "$folder/$name"
}
