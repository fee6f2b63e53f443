#!/bin/sh
# The switch on arm64: tests/test_switch.c is built for it, optimized and not, and run by qemu.
set -eu

: "${TOP:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${BUILD:=$TOP/build}"

for command in aarch64-linux-gnu-gcc qemu-aarch64; do
	command -v "$command" >/dev/null && continue
	echo "$command is not there"
	# Whoever checks everything wants to know; others need not have it.
	[ "${CI-}" != true ] || exit 1
	exit 77
done

cd "$TOP"
mkdir -p "$BUILD/arm64"
for level in -O0 -O2; do
	program=$BUILD/arm64/test_switch$level
	aarch64-linux-gnu-gcc -std=c11 -D_GNU_SOURCE -Iinclude -iquote . -Wall -Wextra -Werror \
		-Wno-unused-parameter -fstack-clash-protection "$level" -g -static -pthread \
		-o "$program" tests/test_switch.c tasks/loop/switch.c taskmgr/base/check.c -lm
	echo "arm64 $level"
	qemu-aarch64 "$program"
done
