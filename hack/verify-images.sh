#!/usr/bin/env bash
# Checks that the images of podtrail's parts are reproducible: built twice, from two folders and with two
# umasks, without a registry, they have the same digests.
. "$(dirname "$0")/lib/common.sh"
for lib in components container-images programs; do
	# shellcheck source=/dev/null
	. "$ROOT/hack/lib/$lib.sh"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# digests FOLDER builds all images from the checkout in FOLDER.
digests() {
	local name
	ROOT=$1
	for name in $OWN_IMAGES; do
		link_program "$name" "$work/$name"
		build_image -tag "localhost:5001/podtrail/$name:dev" -entrypoint "/$name" "$work/$name=/$name"
		rm "$work/$name"
	done
}

mkdir "$work/copy"
copy_to "$work/copy"
here=$(digests "$ROOT")
there=$(umask 077 && digests "$work/copy")
say "$here"
[ "$here" = "$there" ] || die "a second build from another folder gave other digests:
$there"
