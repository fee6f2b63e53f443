#!/bin/bash
# taskctl process, as a person uses it: with a daemon that runs, and without it, beside sqlite3.
set -u
cd "$(dirname "$0")/.." || exit

BUILD=${BUILD:-build}
scale=${TEST_TIMEOUT_SCALE:-1}
# shellcheck source=tests/support/program.sh
. tests/support/program.sh
taskctl=$BUILD/taskctl
dir=$(mktemp -d)
file=$dir/orders.db
daemon=
follower=
holder=
test=start
export LC_ALL=C TZ=UTC

finish()
{
	# shellcheck disable=SC2086 # one, or none
	kill -KILL $daemon $follower $holder 2>/dev/null
	wait 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

die()
{
	echo "FAIL: $test: $1"
	tail -n 30 "$dir/out" "$dir/err" "$dir/daemon.out" 2>/dev/null
	exit 1
}

start_daemon() # start_daemon ARGUMENT...
{
	: >"$dir/daemon.out"
	"$BUILD/examples/orders" --database "$file" --port 0 --control "$dir/control" "$@" >"$dir/daemon.out" 2>&1 \
		</dev/null &
	daemon=$!
	wait_until 'the daemon listens' grep -q '^listening' "$dir/daemon.out"
	port=$(sed -n 's/^listening on .* port //p' "$dir/daemon.out")
}

kill_daemon()
{
	kill -KILL "$daemon"
	wait "$daemon" 2>/dev/null
	daemon=
}

stop_daemon()
{
	kill -TERM "$daemon"
	wait "$daemon" || die 'the daemon ended with an error'
	daemon=
}

ask() # ask METHOD PATH [BODY]
{
	curl -s -m 20 -X "$1" ${3:+-d "$3"} -o "$dir/answer" "http://127.0.0.1:$port$2" || die "curl $1 $2"
}

run() # run EXIT_CODE ARGUMENT...: output in $dir/out and $dir/err
{
	wanted=$1
	shift
	"$taskctl" process "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
	[ "$status" -eq "$wanted" ] || die "taskctl process $*: exit code $status, not $wanted"
	arguments=$*
}

on_socket() # on_socket EXIT_CODE ARGUMENT...
{
	run "$@" --socket "$dir/control"
}

on_file() # on_file EXIT_CODE ARGUMENT...
{
	run "$@" --file "$file"
}

says() # says out|err PATTERN
{
	grep -q -e "$2" "$dir/$1" || die "taskctl process $arguments: no \"$2\" on standard $1"
}

silent() # silent out|err
{
	[ ! -s "$dir/$1" ] || die "taskctl process $arguments: says something on standard $1"
}

revision_of() # revision_of ORDER
{
	on_socket 0 show "$1"
	sed -n 's/^revision *//p' "$dir/out"
}

status_is() # status_is ID STATUS
{
	on_socket 0 list
	grep -q -E "^$1 +[a-z]+ +$2 " "$dir/out"
}

orders_are_listed()
{
	start_daemon
	for id in a b c; do
		ask POST /orders "{\"id\":\"$id\",\"customer\":\"customer $id\"}"
		ask POST "/orders/$id/lines" '{"sku":"tea","quantity":2,"price":450}'
	done
	ask POST /orders/b/submit
	ask POST /orders/b/decision '{"approved":true}'
	wait_until 'it is delivered' status_is b.delivery active
	on_socket 0 list
	silent err
	says out '^ID  *DEFINITION  *STATUS'
	says out '^a  *order  *active '
	says out '^b.payment  *payment  *finished '
	on_socket 0 list --definition order
	[ "$(wc -l <"$dir/out")" -eq 4 ] || die 'not three orders'
	on_socket 0 list --definition order --after a --max 1
	[ "$(tail -n +2 "$dir/out" | cut -c 1)" = b ] || die 'not b'
	on_socket 0 list --status finished --json
	[ "$(wc -l <"$dir/out")" -eq 1 ] || die 'more than one line'
	says out '"id":"b.payment","definition":"payment"'
}

one_is_shown_and_why_it_waits()
{
	on_socket 0 show b
	says out '^definition  order, version 1$'
	says out '^state       {"key":"b.*"customer":"customer b","status":"delivery"'
	on_socket 0 show b.payment
	says out '^result      paid$'
	on_socket 0 why b
	says out '^Desk: waits for a message on b/commands; who sends on it or closes it wakes it'
	says out '^Work: waits for the end of process b.delivery, which is active; its end wakes it'
	[ "$(wc -l <"$dir/out")" -eq 2 ] || die 'more than a sentence for each goroutine'
	on_socket 0 why b.delivery
	says out '^Main: waits until .* UTC, in [0-9]* ms; the runtime.s clock wakes it$'
	on_socket 0 why a
	says out '^Cart: waits for the first of 2 cases$'
	says out '^  1. waits for a message on a/submitted; '
	says out '^  2. waits until '
	on_socket 0 channels b
	says out '^b/commands  *open  *0  *0  *0  *1$'
	says out '^b/submitted  *closed '
	on_socket 1 why nobody
	silent out
	says err 'there is no such process'
}

events_are_followed()
{
	: >"$dir/followed"
	"$taskctl" process events c --follow --socket "$dir/control" >"$dir/followed" 2>&1 </dev/null &
	follower=$!
	wait_until 'what was' grep -q 'step c Desk Desk_Open' "$dir/followed"
	ask DELETE /orders/c/lines/tea
	wait_until 'what happens' grep -q -E 'sent c: commands' "$dir/followed"
	kill "$follower"
	wait "$follower" 2>/dev/null
	follower=
	on_socket 0 events c --max 1
	[ "$(wc -l <"$dir/out")" -eq 1 ] || die 'more than one'
	says out '^[0-9]* 20[0-9-]* [0-9:]* started c: order$'
	since=$(cut -d ' ' -f 1 "$dir/out")
	on_socket 0 events c --since "$since"
	! grep -q started "$dir/out" || die 'what was before'
}

one_is_paused_resumed_changed_and_cancelled()
{
	on_socket 0 pause a 'the price is wrong'
	on_socket 0 why a
	says out '^a is paused since .*: the price is wrong$'
	# A terminal is given no control characters of others.
	on_socket 0 pause b "$(printf 'red \033[31m')"
	for command in list 'why b' 'show b' 'events b'; do
		# shellcheck disable=SC2086 # several words
		on_socket 0 $command
		says out 'red '
		! grep -q "$(printf '\033')" "$dir/out" || die "$command gives an escape to the terminal"
	done
	on_socket 0 resume b
	# What is sent meanwhile waits.
	on_socket 0 send a/commands '{"kind":"cancel","key":"k","text":"enough"}' --key k
	old=$(revision_of a)
	on_socket 0 set a 'lines[0].price' 500 --revision "$old"
	on_socket 1 set a 'lines[0].price' 600 --revision "$old"
	says err 'the state has another revision'
	on_socket 1 set a 'lines[1].price' 600 --revision "$(revision_of a)"
	says err 'there is no such field'
	on_socket 1 set a total cheap --revision "$(revision_of a)"
	says err 'is no JSON'
	on_socket 1 set a total '"cheap"' --revision "$(revision_of a)"
	says err 'total: '
	on_socket 1 set a total 1
	says err 'revision is missing'
	on_socket 0 resume a
	wait_until 'it goes on' status_is a finished
	on_socket 0 show a
	says out '"price":500'
	says out '"status":"cancelled","reason":"enough"'
	on_socket 0 cancel c
	wait_until 'it is cancelled' status_is c cancelled
	on_socket 0 show c
	says out 'cancelled by an operator'
	on_socket 1 cancel c
}

one_is_started_and_sent_to()
{
	on_socket 0 start order d '{"customer":"dora","cart_ms":3600000,"approval_ms":1000}'
	on_socket 1 start order d
	says err 'it is there already'
	on_socket 1 start nothing e
	says err 'has no definition of that name'
	on_socket 1 start order e '{"customer":7}'
	says err 'customer'
	on_socket 1 start order "$(printf 'e\377')"
	says err 'id: is not UTF-8$'
	on_socket 1 send d/commands x --key "$(printf 'e\377')"
	says err 'key: is not UTF-8$'
	# What a terminal would obey is shown as JSON may write it.
	on_socket 0 start order control '{"customer":"\u009b31m\u007f \u00e4","cart_ms":3600000}'
	on_socket 0 show control
	says out '"customer":"\\u009b31m\\u007f '"$(printf '\303\244')"'"'
	on_socket 0 cancel control
	echo '{"kind":"add","key":"1","sku":"cup","quantity":1,"price":5}' >"$dir/command"
	"$taskctl" process send d/commands - --socket "$dir/control" <"$dir/command" || die 'send from standard input'
	wait_until 'the line' sh -c "curl -s http://127.0.0.1:$port/orders/d | grep -q '\"sku\":\"cup\"'"
	# As long as a message may be, and a byte longer.
	head -c 1048576 /dev/zero | "$taskctl" process send d/other - --socket "$dir/control" || die 'send 1 MiB'
	head -c 1048577 /dev/zero | "$taskctl" process send d/other - --socket "$dir/control" 2>"$dir/err" &&
		die 'sent more than 1 MiB'
	says err 'longer than 1 MiB'
	on_socket 1 send nobody/commands x
	on_socket 1 send d x/y
	on_socket 0 close d/submitted
	wait_until 'the cart has no limit any more' sh -c "! '$taskctl' process why d --socket '$dir/control' | grep -q '^Cart'"
}

# The webhook is away: what tells it fails until somebody has it tried again.
a_failed_one_is_tried_again_or_sent_elsewhere()
{
	stop_daemon
	start_daemon --webhook http://127.0.0.1:9/ --approval-limit 60
	ask POST /orders '{"id":"f","customer":"Fay"}'
	ask POST /orders/f/cancel
	wait_until 'it has failed once' sh -c "'$taskctl' process why f --socket '$dir/control' | grep -q '^Close: its method Close_Tell has failed'"
	on_socket 1 retry f
	says err 'f has not failed'
	on_socket 0 pause f 'for the night'
	on_socket 1 retry f
	says err 'f is paused: only resume has it go on'
	on_socket 0 why f
	says out '^f is paused since .*: for the night$'
	on_socket 1 retry nobody
	says err 'there is no such process'
	! grep -q 'has not failed' "$dir/err" || die 'it says that it has not failed'
	on_socket 1 goto f Close Nothing_There
	says err 'there is no such process, channel, goroutine or method'
	on_socket 0 goto f Close Limit_Off
	on_socket 0 resume f
	wait_until 'the goroutine has ended' sh -c "! '$taskctl' process why f --socket '$dir/control' | grep -q '^Close'"
	on_socket 0 why f
	says out '^Desk: waits for a message'
}

the_file_is_checked_and_backed_up()
{
	run 0 check "$file"
	says out ': 0 findings$'
	on_socket 0 backup "$dir/copy.db"
	on_socket 1 backup "$dir/copy.db"
	on_socket 1 backup "$dir/nowhere/copy.db"
	says err '/nowhere/copy.db: No such file or directory$'
	run 0 check "$dir/copy.db"
	[ "$(sqlite3 -readonly "$dir/copy.db" "SELECT status FROM tmgr_processes WHERE id = 'a'")" = finished ] ||
		die 'the copy has no order'
	cp "$dir/copy.db" "$dir/bad.db"
	sqlite3 "$dir/bad.db" "UPDATE tmgr_goroutines SET status = 'blocked'; DELETE FROM tmgr_waits"
	run 1 check "$dir/bad.db"
	says out ' findings$'
	echo 'no database at all, but long enough to be looked at' >"$dir/text"
	run 1 check "$dir/text"
	silent out
	says err '/text: not a store, or damaged$'
	run 1 list --file "$dir/text"
	says err '/text: not a store, or damaged$'
	[ ! -e "$dir/text.lock" ] || die 'it has a lock now'
	# Looking at it makes no store of it, and copying it neither.
	: >"$dir/empty"
	for arguments in "list --file $dir/empty" "backup $dir/none.db --file $dir/empty" "check $dir/empty" \
		"resume a --file $dir/empty"; do
		# shellcheck disable=SC2086 # several words
		run 1 $arguments
		silent out
		says err '/empty: not a store, or damaged$'
	done
	[ ! -s "$dir/empty" ] || die 'it is a store now'
	[ ! -e "$dir/none.db" ] || die 'it has a copy'
	run 1 check "$dir/nothing"
	says err 'No such file'
	run 1 backup "$dir/copy3.db" --file "$dir/nothing"
	says err 'No such file'
	[ ! -e "$dir/nothing" ] || die 'it was made'
	cp "$dir/copy.db" "$dir/later.db"
	sqlite3 "$dir/later.db" 'PRAGMA user_version = 2'
	for command in list "backup $dir/copy3.db"; do
		# shellcheck disable=SC2086 # several words
		run 1 $command --file "$dir/later.db"
		says err '/later.db: made by a later version of the library$'
	done
	[ ! -e "$dir/copy3.db" ] || die 'there is a copy'
}

# It comes in parts, and goes back whole.
a_long_state_is_changed_in_one_place()
{
	name=$(head -c 100000 /dev/zero | tr '\0' n)
	on_socket 0 start order long "{\"customer\":\"$name\",\"cart_ms\":3600000,\"approval_ms\":1000}"
	wait_until 'it is a cart' sh -c "'$taskctl' process show long --socket '$dir/control' | grep -q '\"status\":\"cart\"'"
	on_socket 0 set long reason "\"$name\"" --revision "$(revision_of long)"
	on_socket 0 set long approval_ms 2000 --revision "$(revision_of long)"
	on_socket 0 show long
	says out '"approval_ms":2000'
	for field in customer reason; do
		[ "$(sed -n "s/^state.*\"$field\":\"\(n*\)\".*/\1/p" "$dir/out" | wc -c)" -eq 100001 ] || die "not the whole $field"
	done
}

# The same is said of the file as the daemon said.
the_file_is_read_when_the_daemon_is_down()
{
	on_file 1 list
	says err 'a daemon has this file'
	on_socket 0 list
	cp "$dir/out" "$dir/before"
	kill_daemon
	on_file 0 list
	cmp -s "$dir/out" "$dir/before" || die "another list: $(diff "$dir/before" "$dir/out")"
	on_file 0 why b
	says out '^Work: waits for the end of process b.delivery, which is active'
	on_file 0 events b --max 1
	says out ' started b: order$'
	on_file 0 channels b
	says out '^b/commands  *open '
	on_file 1 events --follow
	says err '.*follow has --socket'
	on_socket 1 list
	says err 'control: no daemon is there: Connection refused$'
	run 1 list --socket "$dir/nowhere"
	says err '/nowhere: no daemon is there: No such file or directory$'
	# Of a path that is too long that is not known, nor of one that is forbidden.
	run 1 list --socket "/$(printf '%0107d' 0)"
	says err '^taskctl: /0*: File name too long$'
	sum=$(sqlite3 -readonly "$file" 'SELECT max(sequence), count(*) FROM tmgr_events')
	on_file 0 list
	on_file 0 show b
	[ "$(sqlite3 -readonly "$file" 'SELECT max(sequence), count(*) FROM tmgr_events')" = "$sum" ] ||
		die 'looking at it has changed it'
}

# And repaired; the daemon goes on with what was changed.
the_file_is_repaired_when_the_daemon_is_down()
{
	on_file 0 show d
	old=$(sed -n 's/^revision *//p' "$dir/out")
	on_file 0 set d customer '"Dora"' --revision "$old"
	on_file 1 set d customer '"Nora"' --revision "$old"
	on_file 0 pause d 'while nobody is here'
	on_file 0 show d
	says out '^state       {"key":.*"customer":"Dora"'
	says out '^status      paused '
	on_file 0 send d/commands '{"kind":"remove","key":"2","sku":"cup"}'
	on_file 2 start order g
	on_file 2 goto d Desk Desk_Command
	run 0 check "$file"
	start_daemon
	on_socket 0 why d
	says out '^d is paused since .*: while nobody is here$'
	on_socket 0 resume d
	wait_until 'what was sent is obeyed' sh -c "curl -s http://127.0.0.1:$port/orders/d | grep -q '\"lines\":\[\]'"
	run 0 check "$file"
	stop_daemon
	[ ! -e "$dir/control" ] || die 'the socket is still there'
	on_file 0 backup "$dir/copy2.db"
	run 0 check "$dir/copy2.db"
}

# It waits for a while, and nothing of it is about a disk.
a_file_that_another_program_writes_to_is_not_changed()
{
	coproc writer { sqlite3 "$dir/copy2.db" 2>&1; }
	# shellcheck disable=SC2154 # coproc sets it
	holder=$writer_PID
	echo "BEGIN IMMEDIATE; SELECT 'it is held';" >&"${writer[1]}"
	read -r -t $((30 * scale)) line <&"${writer[0]}"
	[ "$line" = 'it is held' ] || die "the file is not held: $line"
	run 1 pause d 'a reason' --file "$dir/copy2.db"
	silent out
	says err 'it is not done: another program is writing to the file$'
	! grep -q 'No space' "$dir/err" || die 'it says that the disk is full'
	echo 'ROLLBACK;' >&"${writer[1]}"
	eval "exec ${writer[1]}>&-"
	wait "$holder"
	holder=
	run 0 pause d 'a reason' --file "$dir/copy2.db"
}

# A program that did not look has left them, more than are asked for at a time.
names_that_are_not_utf8_are_shown_all_the_same()
{
	sqlite3 "$dir/copy2.db" "CREATE TEMP TABLE old AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
		SELECT p.* FROM n, tmgr_processes AS p WHERE p.id = 'a';
		UPDATE old SET id = CAST(x'ff' AS TEXT) || rowid, text = CAST(x'e282' AS TEXT);
		INSERT INTO tmgr_processes SELECT * FROM old"
	run 0 list --file "$dir/copy2.db"
	silent err
	says out '^d  *order '
	says out "^$(printf '\357\277\275')1  *order  *finished "
	run 0 list --json --max 2 --after e --file "$dir/copy2.db"
	[ "$(wc -l <"$dir/out")" -eq 2 ] || die 'not two'
	run 0 why d --file "$dir/copy2.db"
}

# More than are asked for at a time.
long_lists_and_histories_are_shown_whole()
{
	cp "$dir/copy.db" "$dir/many.db"
	sqlite3 "$dir/many.db" "CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
		SELECT i FROM n;
		CREATE TEMP TABLE p AS SELECT n.i, p.* FROM n, tmgr_processes AS p WHERE p.id = 'a';
		UPDATE p SET id = printf('many%05d', i); ALTER TABLE p DROP COLUMN i;
		INSERT INTO tmgr_processes SELECT * FROM p;
		INSERT INTO tmgr_events SELECT 1000000 + i, 0, 'log', 0, 'a', '', '', 'text ' || i FROM n"
	run 0 list --file "$dir/many.db"
	[ "$(grep -c '^many' "$dir/out")" -eq 2500 ] || die "$(grep -c '^many' "$dir/out") processes"
	[ -z "$(sort "$dir/out" | uniq -d)" ] || die 'some are there twice'
	run 0 list --max 1500 --after many --file "$dir/many.db"
	[ "$(grep -c '^many' "$dir/out")" -eq 1500 ] || die 'not 1500 processes'
	run 0 events --file "$dir/many.db"
	[ "$(grep -c ' log a: text ' "$dir/out")" -eq 2500 ] || die "$(grep -c ' log a: text ' "$dir/out") events"
	[ -z "$(sort "$dir/out" | uniq -d)" ] || die 'some are there twice'
	run 0 events a --max 1500 --file "$dir/many.db"
	[ "$(wc -l <"$dir/out")" -eq 1500 ] || die 'not 1500 events'
}

bad_usage_gives_2()
{
	for arguments in '' nonsense list 'list --socket' "list --file $file --socket $dir/control" 'show --file x' \
		'list --status nothing --file x' 'list --max 0 --file x' 'list --max -1 --file x' \
		'list --max 4294967297 --file x' 'list --key k --file x' \
		'why a b --file x' 'set a b --file x' 'set a b 1 --revision x --file x' 'events --since -1 --file x' check \
		'start a --socket x'; do
		# shellcheck disable=SC2086 # several words
		run 2 $arguments
		silent out
		says err 'usage: \|there is no command'
	done
	run 0 --help
	silent err
	"$taskctl" process --help | awk '/^  / { print $1 }' >"$dir/commands"
	[ "$(wc -l <"$dir/commands")" -ge 16 ] || die 'commands are missing'
	while read -r command; do
		run 0 "$command" --help
		says out "^usage: taskctl process $command"
		grep -q "^\\.It Ic $command\\>" docs/man/taskctl-process.1 || die "the manual page does not describe $command"
	done <"$dir/commands"
	sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' docs/man/taskctl-process.1 >"$dir/synopsis"
	[ "$(grep -c '^\.Nm' "$dir/synopsis")" -eq "$(grep -c '^\.Nm taskctl process$' "$dir/synopsis")" ] ||
		die 'the manual page names another command'
}

for test in \
	orders_are_listed \
	one_is_shown_and_why_it_waits \
	events_are_followed \
	one_is_paused_resumed_changed_and_cancelled \
	one_is_started_and_sent_to \
	a_failed_one_is_tried_again_or_sent_elsewhere \
	a_long_state_is_changed_in_one_place \
	the_file_is_checked_and_backed_up \
	long_lists_and_histories_are_shown_whole \
	the_file_is_read_when_the_daemon_is_down \
	the_file_is_repaired_when_the_daemon_is_down \
	a_file_that_another_program_writes_to_is_not_changed \
	names_that_are_not_utf8_are_shown_all_the_same \
	bad_usage_gives_2; do
	"$test"
	echo "ok: $test"
done
