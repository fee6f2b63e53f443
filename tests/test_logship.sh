#!/bin/sh
# logship on real files, as a user runs it. Every wait is for a line of output, a row or an end, 20 seconds at most.
set -u
cd "$(dirname "$0")/.." || exit

BUILD=${BUILD:-build}
scale=${TEST_TIMEOUT_SCALE:-1}
# shellcheck source=tests/support/program.sh
. tests/support/program.sh
logship=$BUILD/examples/logship
dir=$(mktemp -d)
out=$dir/out
log=$dir/app.log
db=$dir/logs.db
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$dir"' EXIT

die()
{
	echo "FAIL: $test: $1"
	[ ! -f "$out" ] || cat "$out"
	exit 1
}

start() { launch "$logship" --database "$db" "$@"; } # start ARGUMENT...
ask() { sqlite3 -cmd '.timeout 5000' "$db" "$1"; }
has_lines() { [ "$(ask 'SELECT count(*) FROM lines' 2>/dev/null)" = "$1" ]; }
wait_for_lines() { wait_until "$1 lines" has_lines "$1"; }

# The messages in the order they were written.
messages() { ask 'SELECT group_concat(raw) FROM (SELECT raw FROM lines ORDER BY id)'; }
expect() # expect MESSAGES
{
	[ "$(messages)" = "$1" ] || die "has \"$(messages)\", not \"$1\""
}

once_ships_what_is_there_and_nothing_twice()
{
	printf 'one\ntwo\n' >"$log"
	start --once "$log"
	ends_with 0
	says 'shipped 2 lines of 1 files'
	echo three >>"$log"
	start --once "$log"
	ends_with 0
	says 'shipped 1 lines'
	expect one,two,three
}

a_file_that_is_missing_is_an_error_but_the_others_are_shipped()
{
	echo one >"$log"
	start --once "$dir/none.log" "$log"
	ends_with 1
	says "$dir/none.log: No such file"
	expect one
	start --once "$dir/none.*"
	ends_with 1
	says 'no file fits'
	start "$dir"
	ends_with 1
	says 'not a regular file'
}

bad_usage_gives_2()
{
	start --unknown
	ends_with 2
	says 'usage: logship'
	start --list
	ends_with 2
	start ''
	ends_with 2
	start --help
	ends_with 0
	says 'usage: logship'
	[ ! -e "$db" ] || die 'made a database'
}

what_cannot_be_opened_gives_1()
{
	start --database "$dir/none/logs.db" "$log"
	ends_with 1
	says "$dir/none/logs.db-lock: cannot be opened: No such file"
	echo 'no database, but a text that is longer than a header of a hundred bytes, so that it' \
		'can be told apart from a database' >"$db"
	start "$log"
	ends_with 1
	says 'file is not a database'
}

it_follows_growth_rotation_and_truncation()
{
	start "$log"
	wait_for 'files: ready'
	echo one >>"$log"
	wait_for_lines 1
	mv "$log" "$log.1"
	echo late >>"$log.1"
	echo two >>"$log"
	wait_for_lines 3
	cp "$log" "$log.0"
	: >"$log"
	echo three >>"$log"
	wait_for_lines 4
	interrupt
	says 'shipped 4 lines of 1 files'
	expect one,late,two,three
}

a_stop_leaves_nothing_that_was_read()
{
	seq 200000 >"$log"
	start "$log"
	wait_for 'files: ready'
	interrupt
	start --once "$log"
	ends_with 0
	[ "$(ask 'SELECT count(*) = 200000 AND count(DISTINCT raw) = 200000 FROM lines')" = 1 ] ||
		die 'lines are missing or doubled'
	[ "$(ask 'SELECT count(*) FROM (SELECT raw - lag(raw) OVER (ORDER BY id) AS step
		FROM lines) WHERE step <> 1')" = 0 ] || die 'lines are out of order'
}

the_list_is_read_again_on_hangup()
{
	list=$dir/list
	printf '# what to ship\n%s\n' "$log" >"$list"
	echo one >"$log"
	start --list "$list"
	wait_for_lines 1
	echo "$dir/other-*.log" >>"$list"
	echo two >"$dir/other-1.log"
	kill -HUP "$pid"
	wait_for 'following 2 files'
	wait_for_lines 2
	echo "$dir/other-*.log" >"$list"
	kill -HUP "$pid"
	wait_for 'following 1 files'
	interrupt
	says 'of 1 files'
	start --list "$list"
	wait_for 'files: ready'
	echo three >>"$log" # nobody looks
	echo four >>"$dir/other-1.log"
	wait_for_lines 3
	echo "$log" >>"$list"
	kill -HUP "$pid"
	wait_for_lines 4
	interrupt
	expect one,two,four,three
}

a_second_one_on_the_same_database_is_refused()
{
	echo one >"$log"
	start "$log"
	wait_for_lines 1
	"$logship" --database "$db" "$log" >"$dir/second" 2>&1 && die 'a second one runs'
	grep -q 'another logship writes to it' "$dir/second" || die "second: $(cat "$dir/second")"
	interrupt
}

# A limit on the size of files stands for a full disk. It is of the process, so it can be lifted.
a_full_disk_is_reported_and_nothing_is_lost()
{
	seq 20000 >"$log"
	start --once "$log"
	ends_with 0
	trap '' XFSZ
	launch prlimit --fsize=1500000:unlimited "$logship" --database "$db" "$log"
	trap - XFSZ
	wait_for 'files: ready'
	seq 20001 200000 >>"$log"
	wait_for "$db: .*; trying again" # not of reading
	prlimit --fsize=unlimited --pid "$pid" || die 'prlimit'
	wait_for 'writing again'
	wait_for_lines 200000
	interrupt
	says 'could not be written'
}

# What was read of a path is written before the next list is looked at, unless the disk is full and a stop comes.
a_stop_ends_a_reload_that_waits_for_a_full_disk()
{
	list=$dir/list
	other=$dir/other.log
	printf '%s\n%s\n' "$log" "$other" >"$list"
	seq 20000 >"$log"
	echo one >"$other"
	start --once --list "$list"
	ends_with 0
	trap '' XFSZ
	launch prlimit --fsize=1500000:unlimited "$logship" --database "$db" --list "$list"
	trap - XFSZ
	wait_for 'files: ready'
	seq 20001 60000 >>"$log"
	wait_for "$db: .*; trying again"
	echo "$other" >"$list"
	kill -HUP "$pid"
	wait_for "$log: no longer in the list"
	kill -INT "$pid"
	ends_with 1
	says 'are left to the next run'
	start --once "$log" "$other"
	ends_with 0
	[ "$(ask 'SELECT count(*) = 60001 AND count(DISTINCT raw) = 60001 FROM lines')" = 1 ] ||
		die 'lines are missing or doubled'
}

# script gives it a terminal. It is a child of script's, whose number only it can tell.
a_terminal_gets_a_status_line()
{
	seq 1000 >"$log"
	launch SHELL=/bin/sh script -qec \
		"echo \$\$ >'$dir/pid'; exec '$logship' --database '$db' '$log'" /dev/null
	wait_for '1 files, 1000 lines'
	kill -INT "$(cat "$dir/pid")" || die 'it cannot be sent a signal'
	ends_with 0
	says 'shipped 1000 lines'
}

any_bytes_are_kept()
{
	printf 'nul \000 and \377\376\nplain\n' >"$log"
	start --once "$log"
	ends_with 0
	[ "$(ask 'SELECT hex(raw) FROM lines WHERE offset = 0')" = 6E756C200020616E6420FFFE ] ||
		die "has $(ask 'SELECT hex(raw) FROM lines')"
}

for test in \
	once_ships_what_is_there_and_nothing_twice \
	a_file_that_is_missing_is_an_error_but_the_others_are_shipped \
	bad_usage_gives_2 \
	what_cannot_be_opened_gives_1 \
	it_follows_growth_rotation_and_truncation \
	a_stop_leaves_nothing_that_was_read \
	the_list_is_read_again_on_hangup \
	a_second_one_on_the_same_database_is_refused \
	a_full_disk_is_reported_and_nothing_is_lost \
	a_stop_ends_a_reload_that_waits_for_a_full_disk \
	a_terminal_gets_a_status_line \
	any_bytes_are_kept; do
	rm -rf "${dir:?}"/*
	"$test"
	echo "ok: $test"
done
