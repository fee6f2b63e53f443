#!/bin/sh
# Every example line in the table of the provided tasks compiles.
set -eu
top=${TOP:-$(cd "$(dirname "$0")/.." && pwd)}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
{
	echo '#include <signal.h>'
	echo '#include <taskmgr/taskmgr.h>'
	echo 'struct tmgr_task example(struct tmgr_task task, const struct tmgr_task *tasks,'
	echo '	struct tmgr_manager *manager, struct tmgr_channel *channel, struct tmgr_loop *loop, struct tmgr_machine *machine, void *self,'
	echo '	struct tmgr_processes *processes,'
	echo '	int (*work)(void *self, struct tmgr_context *context, void *job));'
	echo 'struct tmgr_task example(struct tmgr_task task, const struct tmgr_task *tasks,'
	echo '	struct tmgr_manager *manager, struct tmgr_channel *channel, struct tmgr_loop *loop, struct tmgr_machine *machine, void *self,'
	echo '	struct tmgr_processes *processes,'
	echo '	int (*work)(void *self, struct tmgr_context *context, void *job))'
	echo '{'
	# shellcheck disable=SC2016 # these are Markdown's backquotes
	sed -n 's/^| `tmgr_.*| `\(task = .*;\)` |$/	\1/p' "$top/tasks/README.md"
	echo '	return task;'
	echo '}'
} >"$dir/examples.c"
count=$(grep -c 'task = tmgr_' "$dir/examples.c")
rows=$(grep -c '^| `tmgr_' "$top/tasks/README.md")
[ "$count" -eq "$rows" ] || { echo "$count example lines in $rows rows"; exit 1; }
${CC:-cc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$top/include" -fsyntax-only "$dir/examples.c"
