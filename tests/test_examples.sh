#!/bin/sh
# The examples, run as a user runs them: started, looked at, interrupted, and asked for their exit code.
# Every wait is for a line of output or an end, 20 seconds at most.
set -u
cd "$(dirname "$0")/.." || exit

BUILD=${BUILD:-build}
scale=${TEST_TIMEOUT_SCALE:-1}
# shellcheck source=tests/support/program.sh
. tests/support/program.sh
dir=$(mktemp -d)
out=$dir/out
server=
writer=

clean_up()
{
	for one in "$pid" "$server" "$writer"; do
		[ -z "$one" ] || kill -KILL "$one" 2>/dev/null
	done
	rm -rf "$dir"
}

trap clean_up EXIT
chmod 755 "$dir"
# stdbuf puts a library in front of the sanitizer's
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"

die()
{
	echo "FAIL: $1"
	[ ! -f "$out" ] || cat "$out"
	exit 1
}

start() { launch stdbuf -oL "$@"; } # start PROGRAM ARGUMENT...

hello_ticks_and_stops()
{
	start "$BUILD/examples/hello"
	wait_for '^tick$'
	interrupt
}

force_shutdown_names_its_task()
{
	start "$BUILD/examples/force-shutdown"
	wait_for 'nothing will make me stop'
	begin=$(date +%s%N)
	kill -INT "$pid"
	ends_with 3
	ms=$((($(date +%s%N) - begin) / 1000000))
	says 'forever'
	[ "$ms" -ge 1900 ] || die "gave up after $ms ms, not 2 s"
	[ "$ms" -lt 10000 ] || die "left after $ms ms, not 2 s" # without it: 25 s
}

pubsub_drains()
{
	start "$BUILD/examples/pubsub"
	wait_for '^publisher 1: sent 8$'
	interrupt
	published=$(sed -n 's/^published //p' "$out")
	[ "${published:-0}" -gt 0 ] || die "published nothing"
	[ "$(grep -c ': sent ' "$out")" -eq "$published" ] || die "published another number than it sent"
	for subscriber in 1 2; do
		says "^delivered $published to subscriber $subscriber\$"
		[ "$(grep -c "^subscriber $subscriber: " "$out")" -eq "$published" ] ||
			die "subscriber $subscriber has another number of messages"
	done
}

# The date that a client is sent; bash can connect, sh cannot.
ask_daytime() # ask_daytime PORT
{
	timeout 10 bash -c "cat </dev/tcp/127.0.0.1/$1"
}

# All threads of the program are this user, whatever they were.
is_user() # is_user PID UID
{
	for status in /proc/"$1"/task/*/status; do
		grep -q "^Uid:	$2	$2	$2	$2\$" "$status" || return 1
	done
	grep -q '^Groups:	 *$' /proc/"$1"/status
}

keeps_pid_file() # keeps_pid_file PORT PROGRAM...
{
	port=$1
	shift
	start "$@"
	wait_for 'serving port'
	[ "$(cat "$file")" = "$pid" ] || die "the pid file says $(cat "$file"), not $pid"
	ask_daytime "$port" | grep -q '20[0-9][0-9]' || die "no date from port $port"
}

privileges_as_root()
{
	set -- "$BUILD/examples/privileges" --pid-file "$file" --port 913
	keeps_pid_file 913 "$@"
	says 'dropped privileges'
	is_user "$pid" "$(id -u nobody)" || die "is not nobody: $(grep -E 'Uid|Groups' /proc/"$pid"/status)"

	"$@" >"$dir/second" 2>&1
	status=$?
	[ "$status" -eq 1 ] || die "a second instance left with $status"
	grep -q "already running as pid $pid" "$dir/second" || die "$(cat "$dir/second")"
	[ "$(cat "$file")" = "$pid" ] || die "the second instance touched the pid file"

	interrupt
	[ ! -e "$file" ] || die "the pid file is still there"

	keeps_pid_file 913 "$@"
	old=$pid
	kill -KILL "$pid"
	ends_with 137
	[ -e "$file" ] || die "killed, and the pid file is gone"
	keeps_pid_file 913 "$@"
	says "left over from pid $old"
	kill -TERM "$pid"
	ends_with 0
	[ ! -e "$file" ] || die "the pid file is still there"
}

privileges_as_user()
{
	as=
	if [ "$(id -u)" -eq 0 ]; then
		cp "$BUILD/examples/privileges" "$dir/privileges"
		install -d -o nobody "$dir/user"
		as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
	else
		ln -s "$BUILD/examples/privileges" "$dir/privileges"
		mkdir "$dir/user"
	fi
	file=$dir/user/pid
	# shellcheck disable=SC2086 # a command with arguments, or none
	keeps_pid_file 10913 $as "$dir/privileges" --pid-file "$file" --port 10913
	says 'no privileges to drop'
	interrupt
	[ ! -e "$file" ] || die "the pid file is still there"

	[ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 913 ] || return 0
	# shellcheck disable=SC2086
	start $as "$dir/privileges" --pid-file "$file" --port 913
	ends_with 1
	says 'listener'
	says 'port 913'
	[ ! -e "$file" ] || die "the pid file of a failed start is still there"
}

# An example that runs to its end, and what it prints.
prints() # prints EXAMPLE, the lines on standard input
{
	cat >"$dir/expected"
	start "$BUILD/examples/$1"
	ends_with 0
	diff -u "$dir/expected" "$out" || die "$1 prints something else"
}

coroutines_and_futures()
{
	prints turns <<-END
		in main task: 0
		in subtask: 0
		in main task: 1
		in subtask: 1
		in main task: 2
		in subtask: 2
		task result: 42
	END
	prints wait-all <<-END
		results: test 20 25.5
		error: Input/output error
	END
	prints cancelled-futures <<-END
		0: (0, Success)
		1: (1, Success)
		2: (2, Success)
		3: (3, Success)
		4: (4, Success)
		5: (0, Operation canceled)
		6: (0, Operation canceled)
		7: (0, Operation canceled)
		8: (0, Operation canceled)
		9: (0, Operation canceled)
		task result: (0, Operation canceled)
	END
	prints polyglot <<-END
		main() sleeps on a thread
		main() has slept
		main task sleeps on a loop
		subtask sleeps on a loop
		subtask has slept
		main task has slept
	END
}

iterators()
{
	prints line-lengths <<-END
		6
		12
		18
		30
	END
	prints chained-lines <<-END
		got line: Lorem ipsum dolor sit amet.
		got line: Donec non velit consequat.
		got line: Donec interdum in nulla ac scelerisque.
		got line: Duis commodo, neque ac luctus eleifend.
		got line: Fusce lacinia id quam ac porttitor.
		got line: 生麦生米生卵
		got line: すもももももももものうち
		got line: 東京特許許可局長今日急遽休暇許可却下
		got line: 斜め77度の並びで泣く泣く嘶くナナハン7台難なく並べて長眺め
	END
}

# What a line says is there so many times.
counts() # counts PATTERN NUMBER
{
	[ "$(grep -c -e "$1" "$out")" -eq "$2" ] || die "\"$1\" is there $(grep -c -e "$1" "$out") times, not $2"
}

files_are_processed()
{
	printf 'one\ntwo\nthree\n' >"$dir/lines"
	start "$BUILD/examples/file-processor" "$dir/lines"
	ends_with 0
	says '^done: 3 lines$'

	start "$BUILD/examples/file-processor" "$dir/nowhere"
	ends_with 1
	says "^err: opening $dir/nowhere: No such file or directory\$"

	# One that begins and never ends; the task that reads it is cancelled.
	mkfifo "$dir/fifo"
	sleep $((30 * scale)) >"$dir/fifo" &
	writer=$!
	start "$BUILD/examples/file-processor" "$dir/fifo" 100
	ends_with 1
	says '^timeout$'
	kill "$writer"
	wait "$writer" 2>/dev/null
	writer=
}

the_turnstile_lets_through_who_paid()
{
	printf 'push\ncoin\ncoin\npush\npush\nkick\n' | "$BUILD/examples/turnstile" >"$out" 2>&1 ||
		die "the turnstile fails"
	cat >"$dir/expected" <<-END
		begin: (Locked:1)
		push, refused: (Locked:1)
		coin: (Unlocked:1)
		coin: (Unlocked:1)
		push: (Locked:3)
		push, refused: (Locked:3)
		kick, refused: (Locked:3)
		2 coins, 1 passed
	END
	diff -u "$dir/expected" "$out" || die "the turnstile says something else"
}

a_connection_is_kept()
{
	start "$BUILD/examples/keeper"
	wait_for 'the server has gone'
	# Ready before that, and again.
	wait_until 'ready again' printed_times '+Ready' 2
	interrupt
	says 'Connection refused: nobody is there'
	says 'Permission denied: a wrong password'
	says 'Authenticating was active for 2000 ms'
	counts '+Connecting' 5
	counts '+Exception' 4
	says '^keeper: -Wanted -Connected -Ready +Stopped$'
}

# The other side, on a port. False: another one has it.
serve() # serve PORT
{
	rm -f "$dir/served"
	: >"$dir/served"
	env --default-signal=INT stdbuf -oL "$BUILD/examples/upstream" serve "$1" >>"$dir/served" 2>&1 </dev/null &
	server=$!
	tries=$((400 * scale))
	until grep -q 'serving port' "$dir/served"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] && kill -0 "$server" 2>/dev/null || return 1
		sleep 0.05
	done
}

# On a port that the kernel gives to nobody's connection meanwhile: below those, net.ipv4.ip_local_port_range.
serve_somewhere()
{
	for offset in 0 1 2 3 4 5 6 7 8 9; do
		port=$((20000 + ($$ * 7 + offset * 997) % 10000))
		serve "$port" && return
	done
	die "the upstream does not serve: $(cat "$dir/served")"
}

ready_times() { wait_until "ready $1 times" printed_times '+Ready' "$1"; } # ready_times NUMBER

an_upstream_is_kept_that_is_killed_and_started_again()
{
	serve_somewhere
	start "$BUILD/examples/upstream" "$port"
	for round in 1 2 3; do
		ready_times "$round"
		kill -KILL "$server"
		wait "$server" 2>/dev/null
		wait_until 'it sees that the upstream has gone' printed_times '-Ready' "$round"
		serve "$port" || die "the upstream does not serve again: $(cat "$dir/served")"
	done
	ready_times 4
	# Stopped, it is not seen: that is what the deadline of an answer is for.
	kill -STOP "$server"
	wait_for 'Connection timed out: no answer'
	kill -CONT "$server"
	ready_times 5
	interrupt
	says '+Stopped'
	kill -KILL "$server"
	wait "$server" 2>/dev/null
	server=
}

# It goes on where it was, also after kill -9: no number is missing, and one may be printed twice.
counter_goes_on_after_a_kill()
{
	set -- "$BUILD/examples/counter" --database "$dir/counter.db"
	start "$@"
	wait_for '^count 3$'
	kill -KILL "$pid"
	ends_with 137
	last=$(sed -n 's/^count //p' "$out" | tail -n 1)
	start "$@"
	wait_for "^count $((last + 2))\$"
	interrupt
	first=$(sed -n 's/^count //p' "$out" | head -n 1)
	case $first in
	"$last" | $((last + 1))) ;;
	*) die "after $last it went on with $first" ;;
	esac
	[ ! -e "$dir/counter.db-wal" ] || [ ! -s "$dir/counter.db-wal" ] || die 'the file was not closed'
}

# It is done a while after the last message, and then it is done for ever.
counter_is_done()
{
	set -- "$BUILD/examples/counter" --database "$dir/done.db" --messages 1 --quiet 4
	start "$@"
	ends_with 0
	says '^done: 2$'
	start "$@"
	ends_with 0
	says '^done: 2$'
	! grep -q '^count ' "$out" || die 'it went on when it was done'
}

approve_is_answered_and_too_late()
{
	start "$BUILD/examples/approve" --database "$dir/approve.db" --patience 1
	ends_with 0
	for line in 'desk: may Ada take 5 days off?' 'desk: shall we buy a keyboard?' 'desk: yes was delivered' \
		'holiday: enjoy it' 'purchase: not bought, nobody answered' 'desk: yes came too late'; do
		says "^$line\$"
	done
}

# It leaves nothing behind where no file was named.
approve_has_a_file_of_its_own()
{
	mkdir "$dir/tmp"
	start env TMPDIR="$dir/tmp" "$BUILD/examples/approve" --patience 0.1
	ends_with 0
	[ -z "$(ls "$dir/tmp")" ] || die "left behind: $(ls "$dir"/tmp/*)"
}

# play exits with an error when anything is not as it should be; some of its lines:
orders_are_played()
{
	start internal/examples/cmd/orders/play "$BUILD/examples/orders"
	ends_with 0
	says '^{"customer":"Ada","status":"done"'
	says '^{"customer":"Bob","status":"cancelled","reason":"found it in the library"'
	says '^{"customer":"Eve","status":"expired"'
	says '"id: is not 1 to 40 of'
	says '"the body is no JSON: line 1'
	[ "$(grep -c -E '^(payment.charged|delivery.shipped|order.done) tea 900$' "$out")" -eq 3 ] || die 'tea'
	[ "$(grep -c -E '^(payment.charged|payment.refunded|order.cancelled) books 9900$' "$out")" -eq 3 ] || die 'books'
	[ "$(grep -c -E '^order.expired yacht 9999999$' "$out")" -eq 1 ] || die 'yacht'
}

hello_ticks_and_stops
counter_goes_on_after_a_kill
counter_is_done
approve_is_answered_and_too_late
approve_has_a_file_of_its_own
orders_are_played
files_are_processed
the_turnstile_lets_through_who_paid
a_connection_is_kept
an_upstream_is_kept_that_is_killed_and_started_again
force_shutdown_names_its_task
pubsub_drains
coroutines_and_futures
iterators
file=$dir/run/pid
exec 9</tmp
flock -w $((60 * scale)) 9 || die 'another one has the ports'
[ "$(id -u)" -ne 0 ] || privileges_as_root
privileges_as_user
echo "examples: all as they should"
