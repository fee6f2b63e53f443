#!/bin/bash
# minimq, by clients that are not ours: redis-cli, redis-benchmark, the shell. Every wait is for a line of output, an answer or an end,
# 20 seconds at most. bash, for it can connect.
# shellcheck disable=SC2016 # what stands in single quotes is for another shell, or the protocol
set -u
cd "$(dirname "$0")/.." || exit

BUILD=${BUILD:-build}
scale=${TEST_TIMEOUT_SCALE:-1}
# shellcheck source=tests/support/program.sh
. tests/support/program.sh
minimq=$BUILD/examples/minimq
dir=$(mktemp -d)
out=$dir/out
port=
trap 'kill -KILL ${pid:+"$pid"} $(jobs -p) 2>/dev/null; rm -rf "$dir"' EXIT

die()
{
	echo "FAIL: $test: $1"
	[ ! -f "$out" ] || tail -n 50 "$out"
	exit 1
}

test=programs
for program in redis-cli redis-benchmark; do
	command -v "$program" >/dev/null || die "there is no $program (Debian: redis-tools)"
done

start() # start ARGUMENT...
{
	launch "$minimq" --port 0 --loops 2 "$@"
	wait_for '^listening on '
	port=$(sed -n 's/^listening on .* port //p' "$out")
}

contains() { grep -q -e "$2" "$1"; } # contains FILE PATTERN
wait_in() { wait_until "\"$2\" in $1" contains "$1" "$2"; }
cli() { timeout "$limit" redis-cli -p "$port" "$@"; }
benchmark() { timeout $((limit * 2)) redis-benchmark -p "$port" -q "$@" >"$dir/benchmark" 2>&1; }

expect() # expect ANSWER COMMAND...
{
	wanted=$1
	shift
	answer=$(cli "$@" 2>&1)
	[ "$answer" = "$wanted" ] || die "$* gives \"$answer\", not \"$wanted\""
}

answers() { [ "$(cli "${@:2}" 2>&1)" = "$1" ]; } # answers ANSWER COMMAND...
has_long_lines() { [ "$(awk 'length == 65536' "$1" | wc -l)" -eq "$2" ]; } # has_long_lines FILE COUNT
has() { [ "$(figure "$1")" = "$2" ]; }          # has FIGURE VALUE

# What is sent back until the connection is closed, without carriage returns.
talk() # talk TEXT
{
	timeout "$limit" bash -c 'exec 3<>/dev/tcp/127.0.0.1/'"$port"' && printf "$1" >&3 && cat <&3' talk "$1" |
		tr -d '\r'
}

figure() { cli info | tr -d '\r' | sed -n "s/^$1://p"; }

subscribe() # subscribe FILE COMMAND NAME
{
	: >"$1"
	redis-cli -p "$port" "$2" "$3" >"$1" 2>&1 </dev/null &
	subscriber=$!
	wait_in "$1" "^$2\$"
}

redis_cli_is_answered()
{
	start
	expect PONG ping
	expect OK set key value
	expect value get key
	expect 1 incr number
	expect 2 exists key number
	expect 2 del key number none
	expect '' get key
	expect OK select 0
	expect 'NOPROTO unsupported protocol version' hello 3
	expect "$(printf 'save\n')" config get save
	expect 19 command count
	[ "$(cli command | grep -c readonly)" -eq 2 ] || die 'no list of commands'
	[ "$(figure loops)" = 2 ] || die "no INFO"
	[ "$(figure tcp_port)" = "$port" ] || die 'another port'
	printf 'set a 1\nincr a\nget a\n' | cli >"$dir/interactive"
	[ "$(tr '\n' ' ' <"$dir/interactive")" = 'OK 2 2 ' ] || die "$(cat "$dir/interactive")"
	interrupt
	says '^connections [1-9][0-9]*, commands [1-9][0-9]*, published 0, delivered 0, dropped 0$'
}

a_line_is_a_command()
{
	start
	[ "$(talk 'PING\r\n\r\nset "a key" 1\nget "a key"\r\nnonsense\r\nQUIT\r\nPING\r\n')" = "+PONG
+OK
\$1
1
-ERR unknown command 'nonsense'
+OK" ] || die 'answers otherwise'
	interrupt
}

a_protocol_error_is_answered_and_ends_the_connection()
{
	start
	[ "$(talk 'PING\r\n*1\r\n$x\r\nPING\r\n')" = "+PONG
-ERR Protocol error: invalid bulk length" ] || die 'answers otherwise'
	[ "$(talk '*2000000\r\n')" = '-ERR Protocol error: invalid multibulk length' ] || die 'takes too many'
	[ "$(talk '*1\r\n$999999999\r\n')" = '-ERR Protocol error: invalid bulk length' ] || die 'takes too much'
	[ "$(talk "$(printf '%070000d' 1)")" = '-ERR Protocol error: too big inline request' ] ||
		die 'takes too long a line'
	expect PONG ping
	interrupt
	says 'protocol errors 4$'
}

a_big_pipeline_is_answered_in_order()
{
	start
	awk 'BEGIN { for (i = 0; i < 50000; i++)
		printf "*3\r\n$3\r\nSET\r\n$%d\r\nkey:%d\r\n$%d\r\n%d\r\n", length(i) + 4, i, length(i), i }' >"$dir/pipe"
	cli --pipe <"$dir/pipe" >"$dir/piped" 2>&1 || die "$(cat "$dir/piped")"
	contains "$dir/piped" '^errors: 0, replies: 50000$' || die "$(cat "$dir/piped")"
	awk 'BEGIN { for (i = 0; i < 20000; i++) printf "GET key:%d\r\n", i; print "QUIT\r" }' >"$dir/gets"
	timeout "$limit" bash -c 'exec 3<>/dev/tcp/127.0.0.1/'"$port"'; cat "$1" >&3 & cat <&3' get "$dir/gets" |
		tr -d '\r' | grep -v '^[$+]' >"$dir/got"
	awk 'BEGIN { for (i = 0; i < 20000; i++) print i }' | cmp - "$dir/got" || die 'other answers'
	[ "$(figure db0)" = 'keys=50000,expires=0,avg_ttl=0' ] || die 'other keys'
	interrupt
}

redis_benchmark_is_served()
{
	start
	for arguments in '-c 50' '-c 50 -P 16' '-c 500' '-c 500 -P 16'; do
		# shellcheck disable=SC2086 # several words
		benchmark -n 20000 $arguments -t ping,set,get || die "$arguments: $(cat "$dir/benchmark")"
		[ "$(tr '\r' '\n' <"$dir/benchmark" | grep -c 'requests per second')" -eq 4 ] ||
			die "$arguments: $(cat "$dir/benchmark")"
		# shellcheck disable=SC2086
		benchmark -n 20000 $arguments publish nobody hello || die "$arguments: $(cat "$dir/benchmark")"
	done
	! grep -q -i -e error -e warning "$dir/benchmark" || die "$(cat "$dir/benchmark")"
	wait_until 'all others have left' has connected_clients 1
	interrupt
	says ', published 80000, delivered 0, dropped 0$'
}

subscribers_get_what_is_published()
{
	start
	subscribe "$dir/news" subscribe news
	subscribe "$dir/pattern" psubscribe 'n?ws*'
	subscribe "$dir/other" subscribe other
	expect 2 publish news hello
	expect 1 publish newspaper paper
	expect 1 publish other else
	expect 0 publish nobody lost
	awk 'BEGIN { for (i = 0; i < 5000; i++) printf "PUBLISH news %d\r\n", i }' | cli --pipe >"$dir/piped" 2>&1
	contains "$dir/piped" 'errors: 0, replies: 5000' || die "$(cat "$dir/piped")"
	wait_in "$dir/news" '^4999$'
	wait_in "$dir/pattern" '^4999$'
	wait_in "$dir/other" '^else$'
	awk 'BEGIN { print "hello"; for (i = 0; i < 5000; i++) print i }' >"$dir/wanted"
	awk '/^message$/ { getline; getline; print }' "$dir/news" | cmp - "$dir/wanted" || die 'news came otherwise'
	sed -i 's/^hello$/&\npaper/' "$dir/wanted"
	awk '/^pmessage$/ { getline; getline; getline; print }' "$dir/pattern" | cmp - "$dir/wanted" ||
		die 'what the pattern matched came otherwise'
	[ "$(grep -c '^message$' "$dir/other")" -eq 1 ] || die 'other got what it did not ask for'
	interrupt
	says ', published 5004, delivered 10004, dropped 0$'
}

one_that_is_killed_is_subscribed_no_more()
{
	start
	subscribe "$dir/news" subscribe news
	expect 1 publish news hello
	kill -KILL "$subscriber"
	wait_until 'nobody is subscribed' answers 0 publish news lost
	interrupt
}

a_slow_subscriber_is_disconnected_and_others_are_not_disturbed()
{
	start
	exec 7<>/dev/tcp/127.0.0.1/"$port"
	printf 'SUBSCRIBE slow\r\n' >&7
	subscribe "$dir/fast" subscribe slow
	wait_until 'both are subscribed' answers 2 publish slow first
	# 32 MB, more than the system keeps and the 8 MiB of an outbox; but never so much that the other is slow, too.
	for round in 1 2 3 4 5 6 7 8 9 10; do
		benchmark -n 50 -c 2 publish slow "$(printf '%065536d' 1)" || die "$(cat "$dir/benchmark")"
		wait_until 'the fast one has got all' has_long_lines "$dir/fast" $((50 * round))
	done
	wait_for 'disconnected: reads too slowly'
	[ "$(figure clients_ended_slow)" = 1 ] || die 'not one was too slow'
	expect 1 publish slow last
	wait_in "$dir/fast" '^last$'
	exec 7>&-
	interrupt
	published=$(sed -n 's/.*, published \([0-9]*\),.*/\1/p' "$out")
	delivered=$(sed -n 's/.*, delivered \([0-9]*\),.*/\1/p' "$out")
	dropped=$(sed -n 's/.*, dropped \([0-9]*\)$/\1/p' "$out")
	[ "$dropped" -gt 0 ] || die 'nothing was dropped'
	# Two were subscribed until one was disconnected: from then on it is asked for no more.
	[ $((delivered + dropped)) -le $((2 * published)) ] || die 'more came than was published'
	[ "$delivered" -ge "$published" ] || die 'the fast one did not get all'
}

a_stop_in_the_middle_of_a_benchmark_is_clean()
{
	start
	subscribe "$dir/news" subscribe news
	redis-benchmark -p "$port" -q -n 100000000 -c 50 publish news hello >"$dir/benchmark" 2>&1 &
	busy=$!
	wait_in "$dir/news" '^message$'
	interrupt
	says 'exit code 0$'
	published=$(sed -n 's/.*, published \([0-9]*\),.*/\1/p' "$out")
	delivered=$(sed -n 's/.*, delivered \([0-9]*\),.*/\1/p' "$out")
	dropped=$(sed -n 's/.*, dropped \([0-9]*\)$/\1/p' "$out")
	[ "$delivered" -gt 0 ] || die 'nothing was delivered'
	# What is published when the subscriber has been told to stop has nobody to go to: PUBLISH answers 0.
	[ $((delivered + dropped)) -le "$published" ] || die 'more was delivered than published'
	wait "$busy" "$subscriber"
	[ "$dropped" -gt 0 ] || [ "$(grep -c '^message$' "$dir/news")" -eq "$delivered" ] ||
		die "delivered $delivered, and $(grep -c '^message$' "$dir/news") came"
}

who_says_nothing_is_disconnected()
{
	start --idle 2
	subscribe "$dir/news" subscribe news
	[ -z "$(talk '')" ] || die 'was told something'
	says 'disconnected: sent nothing for 2 s'
	# One that was there before, and waits for messages, still is.
	expect 1 publish news hello
	interrupt
	says 'idle 1,'
}

too_many_are_refused()
{
	start --max-clients 1
	exec 7<>/dev/tcp/127.0.0.1/"$port"
	printf 'PING\r\n' >&7
	read -r -t "$limit" answer <&7
	[ "$answer" = $'+PONG\r' ] || die "answers $answer"
	[ "$(talk '')" = '-ERR max number of clients reached' ] || die 'a second one was served'
	exec 7>&-
	wait_until 'there is room again' answers PONG ping
	interrupt
	says '^refused [1-9]'
}

a_second_one_on_the_port_is_refused()
{
	start
	"$minimq" --port "$port" >"$dir/second" 2>&1 </dev/null
	[ $? -eq 1 ] || die 'the second runs'
	contains "$dir/second" "127.0.0.1 port $port: Address already in use" || die "$(cat "$dir/second")"
	expect PONG ping
	interrupt
}

bad_usage_gives_2()
{
	for arguments in '--port x' '--port 65536' '--port -1' '--port' '--loops 0' '--loops 65' '--max-clients 0' \
		'--idle forever' '--listen localhost' '--unknown' 'more'; do
		# shellcheck disable=SC2086 # several words
		launch "$minimq" $arguments
		ends_with 2
		says 'usage: minimq'
	done
	launch "$minimq" --help
	ends_with 0
	says 'usage: minimq'
}

# script gives it a terminal.
a_terminal_gets_a_status_line()
{
	: >"$out"
	env --default-signal=INT script -qec "exec $minimq --port 0" /dev/null >"$out" 2>&1 </dev/null &
	pid=$!
	wait_for '0 clients, 0 commands (0/s), 0 published, 0 delivered, 0 dropped'
	kill -INT "$(cat "/proc/$pid/task/$pid/children")"
	ends_with 0
	says '^connections 0, commands 0'
}

for test in \
	redis_cli_is_answered \
	a_line_is_a_command \
	a_protocol_error_is_answered_and_ends_the_connection \
	a_big_pipeline_is_answered_in_order \
	redis_benchmark_is_served \
	subscribers_get_what_is_published \
	one_that_is_killed_is_subscribed_no_more \
	a_slow_subscriber_is_disconnected_and_others_are_not_disturbed \
	a_stop_in_the_middle_of_a_benchmark_is_clean \
	who_says_nothing_is_disconnected \
	too_many_are_refused \
	a_second_one_on_the_port_is_refused \
	a_terminal_gets_a_status_line \
	bad_usage_gives_2; do
	rm -rf "${dir:?}"/*
	"$test"
	echo "ok: $test"
done
