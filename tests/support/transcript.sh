#!/bin/sh
# Run what a transcript of a terminal shows, and compare.
#
#     transcript.sh TRANSCRIPT DIRECTORY...
#
# A transcript reads:
#
#     $ ./hello            the program, searched for in the directories, and its arguments
#     tick                 what it prints on standard output and standard error
#     tick
#     ^C                   interrupted when all of the above is there; what stands behind it is printed, too
#     $ echo $?
#     0
#
# Numbers may differ but in the exit code, and, since the two outputs are not in step, the order of lines; and how
# often a line is repeated by a program that is interrupted: it may come to say more before the signal reaches it. A
# line of three dots stands for any other lines.
set -u

transcript=$1
shift
directories=$*
dir=$(mktemp -d)
pid=
repeats='cat'
# stdbuf puts a library in front of the sanitizer's
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$dir"' EXIT

find_program()
{
	for directory in $directories; do
		if [ -x "$directory/$1" ]; then
			echo "$directory/$1"
			return
		fi
	done
}

# Numbers become N, so that times and process ids may differ.
mask()
{
	sed 's/[0-9][0-9.]*/N/g; s/[ 	]*$//' | LC_ALL=C sort
}

die()
{
	echo "$transcript: $1"
	echo "--- expected"
	cat "$dir/expected"
	echo "--- actual"
	cat "$dir/actual"
	exit 1
}

# At most 20 seconds until the output has as many lines as is expected so far.
wait_for_lines()
{
	tries=400
	while [ "$(wc -l <"$dir/actual")" -lt "$1" ]; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "hardly any output after 20 seconds"
		kill -0 "$pid" 2>/dev/null || return
		sleep 0.05
	done
}

wait_for_end()
{
	(
		sleep 40
		kill -KILL "$pid"
	) >/dev/null 2>&1 &
	killer=$!
	wait "$pid"
	status=$?
	pid=
	kill "$killer" 2>/dev/null
}

compare()
{
	if ! grep -qx '\.\.\.' "$dir/expected"; then
		mask <"$dir/expected" | $repeats >"$dir/expected.masked"
		mask <"$dir/actual" | $repeats >"$dir/actual.masked"
		cmp -s "$dir/expected.masked" "$dir/actual.masked" || die "the output differs"
		return
	fi
	mask <"$dir/actual" >"$dir/actual.masked"
	grep -vx '\.\.\.' "$dir/expected" | mask | uniq >"$dir/expected.masked"
	while read -r line; do
		grep -Fqx -e "$line" "$dir/actual.masked" || die "missing: $line"
	done <"$dir/expected.masked"
}

: >"$dir/expected"
: >"$dir/actual"
state=before
while IFS= read -r line; do
	case $state:$line in
	before:"$ ./"*)
		line=${line#"$ ./"}
		program=$(find_program "${line%% *}")
		[ -n "$program" ] || die "no program ${line%% *}"
		arguments=${line#"${line%% *}"}
		# shellcheck disable=SC2086 # arguments are split as a shell does
		env --default-signal=INT stdbuf -oL "$program" $arguments >"$dir/actual" 2>&1 </dev/null &
		pid=$!
		state=running
		;;
	running:"^C"*)
		wait_for_lines "$(grep -vcx '\.\.\.' "$dir/expected")"
		repeats='uniq'
		kill -INT "$pid" 2>/dev/null
		[ "$line" = "^C" ] || printf '%s\n' "${line#"^C"}" >>"$dir/expected"
		;;
	running:'$ echo $?')
		wait_for_end
		compare
		state=status
		;;
	status:*)
		[ "$status" -eq "$line" ] || die "exit code $status"
		state=over
		;;
	running:*) printf '%s\n' "$line" >>"$dir/expected" ;;
	*) die "cannot make sense of: $line" ;;
	esac
done <"$transcript"
if [ "$state" = running ]; then
	wait_for_end
	compare
fi
exit 0
