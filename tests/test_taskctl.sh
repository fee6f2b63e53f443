#!/bin/sh
# The command line of taskctl: what it lists, how it refuses, what it exits with.
set -u
cd "$(dirname "$0")/.." || exit

taskctl=${BUILD:-build}/taskctl
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

fail()
{
	echo "FAIL: $1"
	cat "$dir/out" "$dir/err"
	failures=$((failures + 1))
}

run() # run EXIT_CODE ARGUMENT...: output in $dir/out and $dir/err
{
	wanted=$1
	shift
	"$taskctl" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
	[ "$status" -eq "$wanted" ] || fail "taskctl $*: exit code $status, not $wanted"
}

silent() # silent out|err
{
	[ ! -s "$dir/$1" ] || fail "taskctl $args: says something on standard $1"
}

says() # says out|err TEXT
{
	grep -q -F -e "$2" "$dir/$1" || fail "taskctl $args: does not say \"$2\" on standard $1"
}

args=--version
run 0 --version
silent err
version=$(awk '$2 == "TMGR_VERSION_STRING" { gsub(/"/, ""); print $3 }' include/taskmgr/version.h)
[ "$(cat "$dir/out")" = "taskctl $version" ] || fail "not version $version"

for args in --help -h; do
	run 0 "$args"
	silent err
	says out 'usage: taskctl COMMAND'
done

args=
run 2
silent out
says err 'usage: taskctl COMMAND'

args=nonsense
run 2 nonsense
silent out
says err 'there is no command "taskctl nonsense"'

# What could not be written was not done.
args='--help to a full disk'
"$taskctl" --help >/dev/full 2>"$dir/err"
status=$?
: >"$dir/out"
[ "$status" -eq 1 ] || fail "$args: exit code $status, not 1"
says err 'standard output: No space left on device'

# Every command is in the manual, by name.
"$taskctl" --help | awk '/^  / { print $1 }' >"$dir/commands"
while read -r command; do
	grep -q "^\\.Ss $command\$" docs/man/taskctl.1 && continue
	echo "FAIL: the manual page does not describe $command"
	failures=$((failures + 1))
done <"$dir/commands"

[ "$failures" -eq 0 ]
