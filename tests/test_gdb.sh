#!/bin/sh
# gdb shows the coroutines of a loop, parked ones too: their names, what they wait for and where they
# stand, in a live process and in a core.
set -eu

if [ -n "${SANITIZE-}" ]; then
	echo 'a sanitizer and gdb do not go together'
	exit 77
fi
if ! command -v gdb >/dev/null; then
	echo 'gdb is not installed (internal/tools/packages ci)'
	exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
script=$TOP/internal/tools/taskmgr-gdb.py

fail() {
	echo "FAILED: $1"
	cat "$dir/shown"
	exit 1
}

cat >"$dir/program.c" <<'PROGRAM'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

static int ends[2];

__attribute__((noinline)) void stop_here(int parked)
{
	__asm__ volatile("" ::"r"(parked) : "memory");
}

__attribute__((noinline)) static int wait_for_rain(struct tmgr_context *context, int drops)
{
	int r = tmgr_sleep_until(context, TMGR_NEVER - drops);

	return r + drops - drops;
}

static int gardener(void *self, struct tmgr_context *context)
{
	int r = wait_for_rain(context, 42);

	return r < 0 ? r : 1;
}

static int reader(void *self, struct tmgr_context *context)
{
	int r = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, TMGR_NEVER);

	return r < 0 ? r : 1;
}

static int never_runs(void *self, struct tmgr_context *context)
{
	return 0;
}

static int look(void *self, struct tmgr_context *context)
{
	const struct tmgr_coroutine_options late = { .name = "late" };

	tmgr_yield(context);
	tmgr_coroutine_spawn(context, never_runs, NULL, &late, NULL);
	stop_here(2);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

/* gdb's own cores hold no stacks that have a guard inside their mapping: "canary" has none. */
int main(int count, char **arguments)
{
	struct tmgr_loop_options of_loop = {
		.stack_guard = count > 1 ? TMGR_STACK_GUARD_CANARY : TMGR_STACK_GUARD_PAGE
	};
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options options = { 0 };
	int r;

	if (pipe(ends) < 0 || tmgr_loop_create(&of_loop, &options.loop) < 0)
		return 2;
	tmgr_manager_add_task(manager, "loop", tmgr_loop_task(options.loop), TMGR_STRICT);
	tmgr_manager_add_task_with(
		manager, "gardener", tmgr_task_function(gardener, NULL), TMGR_STRICT, &options);
	tmgr_manager_add_task_with(
		manager, "reader", tmgr_task_function(reader, NULL), TMGR_STRICT, &options);
	tmgr_manager_add_task_with(
		manager, "look", tmgr_task_function(look, NULL), TMGR_ERROR, &options);
	r = tmgr_manager_run(manager, NULL);
	tmgr_manager_destroy(manager);
	tmgr_loop_unref(options.loop);
	puts(r == 0 ? "went on" : "failed");
	return r != 0;
}
PROGRAM

"$CC" -std=c11 -D_GNU_SOURCE -O0 -g -pthread -I"$TOP/include" -o "$dir/program" "$dir/program.c" \
	"$BUILD/libtaskmgr.a" -lev

# show FILE GDB-ARGUMENT...
show() {
	file=$1
	shift
	timeout -k 5 100 gdb -nx -batch -iex 'set auto-load safe-path /' -iex 'set debuginfod enabled off' \
		"$@" >"$file" 2>&1 </dev/null || { cp "$file" "$dir/shown" && fail 'gdb failed'; }
}

# The lines of one coroutine, from its own to the next.
part() { # part TITLE
	awk -v title="$1" '/^  [^ ]/ || /^[^ ]/ { on = index($0, title) > 0 } on' "$dir/shown"
}

has() { # has TITLE TEXT
	part "$1" | grep -q -- "$2" || fail "$3: no \"$2\" with \"$1\""
}

look_at() { # look_at WHERE
	has "task 'gardener'" 'waiting: ' "$1"
	has "task 'gardener'" 'wait_for_rain (.*drops=42' "$1"
	has "task 'gardener'" ' gardener (' "$1"
	has "task 'reader'" 'waiting: descriptor' "$1"
	has "task 'reader'" ' reader (' "$1"
	has "task 'look'" 'running' "$1"
	has "task 'look'" 'stop_here (' "$1"
	has "'late'" 'has not begun' "$1"
	! part "task 'reader'" | grep -q 'wait_for_rain\|stop_here\|corrupt' || fail "$1: one in another's"
}

show "$dir/shown" -ex 'break stop_here' -ex run -ex "source $script" -ex 'taskmgr coroutines' \
	-ex 'echo --- the thread again\n' -ex backtrace -ex continue "$dir/program"
if grep -q 'ptrace: Operation not permitted' "$dir/shown"; then
	echo 'processes cannot be traced here'
	exit 77
fi
look_at 'live'
sed -n '/^--- the thread again/,$p' "$dir/shown" | grep -q '^#0 .*stop_here' ||
	fail 'the thread is not where it was'
# Among what gdb says of threads that end just then.
grep -q 'went on' "$dir/shown" || fail 'the process did not go on'

show "$dir/shown" -ex 'break stop_here' -ex 'run canary' -ex "generate-core-file $dir/core" -ex kill \
	"$dir/program"
show "$dir/shown" -ex "source $script" -ex 'taskmgr coroutines' "$dir/program" "$dir/core"
look_at 'core'

show "$dir/shown" -ex "source $script" -ex 'taskmgr coroutines -q gardener' "$dir/program" "$dir/core"
[ "$(grep -c '^  [^ ]' "$dir/shown")" -eq 1 ] || fail 'not the one that was asked for'
address=$(sed -n "s/^  task 'gardener' at \\(0x[0-9a-f]*\\):.*/\\1/p" "$dir/shown")
[ -n "$address" ] || fail 'no address'
show "$dir/shown" -ex "source $script" -ex "taskmgr enter $address" -ex 'backtrace' \
	-ex 'taskmgr leave' -ex 'echo --- left\n' -ex 'backtrace' "$dir/program" "$dir/core"
sed '/^--- left/,$d' "$dir/shown" | grep -q 'wait_for_rain (.*drops=42' || fail 'not entered'
! sed '1,/^--- left/d' "$dir/shown" | grep -q 'wait_for_rain' || fail 'not left'
