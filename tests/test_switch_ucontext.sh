#!/bin/sh
# The switch by ucontext, for machines without one of our own: built as for them, run here.
set -eu

: "${TOP:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${BUILD:=$TOP/build}"
: "${CC:=cc}"

cd "$TOP"
mkdir -p "$BUILD/ucontext"
for level in -O0 -O2; do
	program=$BUILD/ucontext/test_switch$level
	# shellcheck disable=SC2086 # CC may be a command with arguments
	$CC -std=c11 -D_GNU_SOURCE -DTMGR_UCONTEXT -Iinclude -iquote . -Wall -Wextra -Werror \
		-Wno-unused-parameter "$level" -g -pthread \
		-o "$program" tests/test_switch.c tasks/loop/switch.c taskmgr/base/check.c -lm
	echo "ucontext $level"
	"$program"
done
