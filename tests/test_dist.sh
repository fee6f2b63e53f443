#!/bin/sh
# The packed sources are the same, bit for bit, whenever and wherever they are packed, and they
# build.
set -eu

if [ -n "${SANITIZE-}" ] || ! git -C "$TOP" rev-parse HEAD >/dev/null 2>&1; then
	echo 'there is nothing to pack from'
	exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAILED: $*"
	exit 1
}

pack() { # pack NAME: clones, packs, prints the checksum
	git clone -q "$TOP" "$work/$1"
	make -s -C "$work/$1" dist >/dev/null
	sha256sum <"$(echo "$work/$1"/dist/*.tar.gz)"
}

first=$(umask 022 && TZ=UTC pack first)
sleep 1.1 # a second is what tar and gzip would write down
second=$(umask 077 && TZ=Asia/Tokyo LC_ALL=C pack second)
echo "$first"
[ "$first" = "$second" ] || fail 'two packings differ'

tar -C "$work" -xzf "$(echo "$work"/first/dist/*.tar.gz)"
# Not into the folder of the build that is being tested, which the environment names.
make -C "$(echo "$work"/taskmgr-*)" BUILD=build CC="$CC"
